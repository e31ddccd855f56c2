"""ED beside other ways to learn: the baselines, and the controls that tell what the hidden layers have learnt."""
