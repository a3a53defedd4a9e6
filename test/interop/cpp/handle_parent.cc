// A Win32 program that makes unnamed memory, and hands the handle of its section to
// a child, which inherits it, or puts a copy of it into a running process. It obeys the
// lines of its standard input:
//
//   create SIZE            make the section, inheritable, and map it
//   reserve SIZE           the same with reserved pages, of which none is committed
//   spawn argv|env dec|hex [show|hide] PROGRAM
//                          start PROGRAM, which inherits all that can be: the value is
//                          an argument of it, or the variable SHM of its environment
//   tell LINE              a line for the child's standard input; the child answers
//   duplicate PID          put a copy of the handle into process PID, print its value
//   duplicate-ro PID       the same with FILE_MAP_READ only, as OpenFileMapping gives it
//   duplicate-event PID    put a handle of an event there
//   duplicate-pipe PID     put one of a pipe there that is being read, for nothing
//   revoke PID VALUE       close it there again
//   offer                  print the value of the handle in this process
//   read OFFSET LENGTH     print what stands there
//   write OFFSET "TEXT"    write TEXT there
//   close                  unmap, and close the handle
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

#include "peer.h"

namespace {

using peer::failed;

HANDLE section, to_child, event, reading;
char *memory;

bool create(size_t size, DWORD flags) {
  SECURITY_ATTRIBUTES sa;
  sa.nLength = sizeof sa;
  sa.lpSecurityDescriptor = nullptr;
  sa.bInheritHandle = TRUE;
  section = CreateFileMappingA(INVALID_HANDLE_VALUE, &sa, PAGE_READWRITE | flags, 0, DWORD(size), nullptr);
  if (section == nullptr) return failed("CreateFileMapping");
  memory = static_cast<char *>(MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0));
  return memory != nullptr || failed("MapViewOfFile");
}

// spawn starts the child as this program was started, but for its standard input, which
// is a pipe from here.
bool spawn(const std::string &how, const std::string &form, const std::string &show, const std::string &program, std::string *answer) {
  SECURITY_ATTRIBUTES sa = {sizeof sa, nullptr, TRUE};
  HANDLE from_parent;
  if (!CreatePipe(&from_parent, &to_child, &sa, 0)) return failed("CreatePipe");
  SetHandleInformation(to_child, HANDLE_FLAG_INHERIT, 0);

  char value[32];
  std::snprintf(value, sizeof value, form == "hex" ? "0x%llx" : "%llu", static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(section)));
  // The command line must be memory that can be written.
  std::string line = "\"" + program + "\"";
  if (how == "argv") line += std::string(" ") + value;
  if (how == "env") SetEnvironmentVariableA("SHM", value);

  STARTUPINFOA si = {};
  si.cb = sizeof si;
  GetStartupInfoA(&si);
  if (show == "hide") {
    si.dwFlags |= STARTF_USESHOWWINDOW;
    si.wShowWindow = SW_HIDE;
  }
  si.dwFlags |= STARTF_USESTDHANDLES;
  si.hStdInput = from_parent;
  si.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
  si.hStdError = GetStdHandle(STD_ERROR_HANDLE);
  SetHandleInformation(si.hStdOutput, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  SetHandleInformation(si.hStdError, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  PROCESS_INFORMATION pi;
  if (!CreateProcessA(nullptr, &line[0], nullptr, nullptr, TRUE, 0, nullptr, nullptr, &si, &pi)) return failed("CreateProcess");
  CloseHandle(from_parent);
  CloseHandle(pi.hThread);
  CloseHandle(pi.hProcess);
  *answer = std::to_string(pi.dwProcessId);
  return true;
}

// give puts a copy of h into a process.
bool give(HANDLE h, DWORD pid, DWORD rights, DWORD options, std::string *answer) {
  HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, pid), there;
  if (process == nullptr) return failed("OpenProcess");
  BOOL done = DuplicateHandle(GetCurrentProcess(), h, process, &there, rights, FALSE, options);
  if (!done) failed("DuplicateHandle");
  CloseHandle(process);
  *answer = std::to_string(reinterpret_cast<uintptr_t>(there));
  return done;
}

// read_forever waits for what nobody writes: a question about the pipe waits, too.
DWORD WINAPI read_forever(void *) {
  char b;
  DWORD n;
  ReadFile(reading, &b, 1, &n, nullptr);
  return 0;
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  std::istringstream in(argument);
  size_t offset, length;
  DWORD pid;
  std::string word;
  if (command == "create" || command == "reserve") {
    in >> length;
    return create(length, command == "create" ? 0 : SEC_RESERVE);
  }
  if (command == "spawn") {
    std::string how, form, show, program;
    in >> how >> form >> show >> std::ws;
    std::getline(in, program);
    return spawn(how, form, show, program, answer);
  }
  if (command == "tell") {
    std::string line = argument + "\n";
    DWORD n;
    if (!WriteFile(to_child, line.data(), DWORD(line.size()), &n, nullptr)) failed("WriteFile");
    return false;  // the child answers
  }
  if (command == "duplicate" || command == "duplicate-ro") {
    in >> pid;
    bool ro = command == "duplicate-ro";
    return give(section, pid, ro ? FILE_MAP_READ : 0, ro ? 0 : DUPLICATE_SAME_ACCESS, answer);
  }
  if (command == "duplicate-event") {
    in >> pid;
    event = CreateEventA(nullptr, FALSE, FALSE, nullptr);
    return give(event, pid, 0, DUPLICATE_SAME_ACCESS, answer);
  }
  if (command == "duplicate-pipe") {
    in >> pid;
    HANDLE writing;
    if (!CreatePipe(&reading, &writing, nullptr, 0)) return failed("CreatePipe");
    CloseHandle(CreateThread(nullptr, 0, read_forever, nullptr, 0, nullptr));
    Sleep(100);
    return give(reading, pid, 0, DUPLICATE_SAME_ACCESS, answer);
  }
  if (command == "revoke") {
    in >> pid >> word;
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, pid), back;
    if (process == nullptr) return failed("OpenProcess");
    HANDLE there = reinterpret_cast<HANDLE>(static_cast<uintptr_t>(std::strtoull(word.c_str(), nullptr, 0)));
    BOOL done = DuplicateHandle(process, there, GetCurrentProcess(), &back, 0, FALSE, DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS);
    if (done) CloseHandle(back);
    if (!done) failed("DuplicateHandle");
    CloseHandle(process);
    return done;
  }
  if (command == "offer") {
    *answer = std::to_string(reinterpret_cast<uintptr_t>(section));
    return true;
  }
  if (command == "read") {
    in >> offset >> length;
    *answer = std::string(memory + offset, length);
    return true;
  }
  if (command == "write") {
    in >> offset >> std::ws;
    std::getline(in, word);
    std::memcpy(memory + offset, word.c_str() + 1, word.size() - 2);
    return true;
  }
  if (command == "close") {
    if (!UnmapViewOfFile(memory)) return failed("UnmapViewOfFile");
    memory = nullptr;
    return CloseHandle(section) || failed("CloseHandle");
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  return 0;
}
