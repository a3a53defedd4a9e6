// A Win32 program that shares text through the section "ZJ", as a server that
// makes the file and the section, or as a client that opens the section by name.
// It obeys the lines of its standard input:
//
//   serve FILE    make FILE, 1 MiB, with the section ZJ over it
//   anonymous     make the section ZJ over the page file
//   client        open the section ZJ
//   write TEXT    write TEXT and a NUL at its beginning
//   print         print what stands there up to the NUL
//   event NAME    open the event NAME with the least rights
//   wait          wait for the event, ten seconds at most
//   set           set it
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <windows.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace {

const DWORD kSize = 1024 * 1024;
HANDLE file = INVALID_HANDLE_VALUE, section, event;
char *text;

void say(const std::string &line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

bool failed(const char *call) {
  say(std::string("err ") + call + " " + std::to_string(GetLastError()));
  return false;
}

bool view() {
  text = static_cast<char *>(MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, kSize));
  return text != nullptr || failed("MapViewOfFile");
}

bool serve(const char *path) {
  if (path != nullptr) {
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file == INVALID_HANDLE_VALUE) return failed("CreateFile");
  }
  section = CreateFileMappingA(file, nullptr, PAGE_READWRITE, 0, kSize, "ZJ");
  if (section == nullptr) return failed("CreateFileMapping");
  if (GetLastError() == ERROR_ALREADY_EXISTS) return failed("CreateFileMapping");
  return view();
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  if (command == "serve") return serve(argument.c_str());
  if (command == "anonymous") return serve(nullptr);
  if (command == "client") {
    section = OpenFileMappingA(FILE_MAP_ALL_ACCESS, TRUE, "ZJ");
    return section != nullptr ? view() : failed("OpenFileMapping");
  }
  if (command == "write") {
    std::memcpy(text, argument.c_str(), argument.size() + 1);
    return true;
  }
  if (command == "print") {
    *answer = " " + std::string(text, strnlen(text, kSize));
    return true;
  }
  if (command == "event") {
    event = OpenEventA(SYNCHRONIZE | EVENT_MODIFY_STATE, FALSE, argument.c_str());
    return event != nullptr || failed("OpenEvent");
  }
  if (command == "wait") {
    DWORD r = WaitForSingleObject(event, 10000);
    *answer = r == WAIT_OBJECT_0 ? " signalled" : " timeout";
    return true;
  }
  if (command == "set") return SetEvent(event) || failed("SetEvent");
  say("err unknown " + command);
  return false;
}

}  // namespace

int main() {
  char line[4096];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    std::string s(line);
    while (!s.empty() && (s.back() == '\n' || s.back() == '\r')) s.pop_back();
    size_t blank = s.find(' ');
    std::string argument = blank == std::string::npos ? "" : s.substr(blank + 1), answer;
    if (obey(s.substr(0, blank), argument, &answer)) say("ok" + answer);
  }
  if (text != nullptr) UnmapViewOfFile(text);
  if (section != nullptr) CloseHandle(section);
  if (event != nullptr) CloseHandle(event);
  if (file != INVALID_HANDLE_VALUE) CloseHandle(file);
  return 0;
}
