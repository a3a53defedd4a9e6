// What the programs in this folder have in common: they obey the lines of their
// standard input, each a command and an argument that may have blanks, and answer
// each with one line, "ok ..." or "err CALL GetLastError".
#ifndef SAMEPAGE_INTEROP_PEER_H
#define SAMEPAGE_INTEROP_PEER_H

#include <windows.h>

#include <cstdio>
#include <string>

namespace peer {

inline void say(const std::string &line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// failed says which call failed, and is false.
inline bool failed(const char *call) {
  say(std::string("err ") + call + " " + std::to_string(GetLastError()));
  return false;
}

// refused says why a command was not obeyed, and is false.
inline bool refused(const std::string &why) {
  say("err " + why);
  return false;
}

// serve reads lines until the input ends. obey(command, argument, &answer) is
// true when the command was obeyed; otherwise it has said what failed.
template <typename Obey>
void serve(Obey obey) {
  char line[65536];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    std::string s(line);
    while (!s.empty() && (s.back() == '\n' || s.back() == '\r')) s.pop_back();
    size_t blank = s.find(' ');
    std::string argument = blank == std::string::npos ? "" : s.substr(blank + 1), answer;
    if (obey(s.substr(0, blank), argument, &answer)) say("ok" + (answer.empty() ? "" : " " + answer));
  }
}

}  // namespace peer

#endif
