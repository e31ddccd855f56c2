"""Write people.csv, an invented table: income by age, hours a week, city and job, with noise and gaps."""

import csv
import random
from pathlib import Path

CITIES = {"Kyoto": 0.0, "Lyon": 0.6, "Nairobi": -0.6, "Oslo": 1.2, "Quito": -0.3, "Tokyo": 0.9}
JOBS = {"baker": -1.0, "driver": -0.6, "lawyer": 1.6, "nurse": 0.2, "teacher": 0.5}
ROWS, GAPS = 600, (("age", 12), ("hours", 10), ("city", 15))

draw = random.Random(18)
people = []
for _ in range(ROWS):
    age, hours = draw.randint(18, 66), round(draw.gauss(36, 7), 1)
    city, job = draw.choice(list(CITIES)), draw.choice(list(JOBS))
    # Experience counts most in the middle of life.
    earned = CITIES[city] + JOBS[job] + 0.11 * (hours - 36) - 0.003 * (age - 48) ** 2 + draw.gauss(0.6, 0.4)
    income = "low" if earned < -0.5 else "mid" if earned < 1 else "high"
    people.append({"age": age, "hours": hours, "city": city, "job": job, "income": income})
for column, gaps in GAPS:
    for person in draw.sample(people, gaps):
        person[column] = ""
with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, people[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(people)
