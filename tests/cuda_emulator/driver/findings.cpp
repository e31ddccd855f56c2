/* Findings: what is wrong with a program, one line each. The tests read them. */
#include "driver.h"

#include <cstdarg>
#include <cstdio>
#include <map>

std::recursive_mutex driver_lock;

static std::map<std::string, std::pair<std::string, long>> findings;  /* by key: the words, how often */

std::string text(const char *format, ...) {
  char words[2000];
  va_list values;
  va_start(values, format);
  vsnprintf(words, sizeof words, format, values);
  va_end(values);
  return words;
}

void report(const std::string &key, const std::string &words) {
  Guard guard(driver_lock);
  auto &finding = findings[key];
  if (!finding.second++) finding.first = words;
}

/* Return all findings since the last call, a line each; the text lives until the next call. */
EXPORT const char *emulator_findings() {
  static std::string all;
  Guard guard(driver_lock);
  all.clear();
  for (const auto &[key, finding] : findings) {
    all += finding.first + (finding.second > 1 ? text(" (%ld times)\n", finding.second) : "\n");
  }
  findings.clear();
  return all.c_str();
}
