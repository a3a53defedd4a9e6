// A Win32 program that asks for EarseImage jobs: it makes the section
// "EaresImageSharedMemory" and the window "UnionRectTest", writes a job, sends
// WM_USER+110 to the window "EarseImage" from its window's thread, and gets WM_USER+111
// within that call. Like the program that it stands for it leaves what was on its stack
// in all that it does not set. It obeys the lines of its standard input:
//
//   open [SIZE]         make the section, of SIZE bytes, and the window
//   job TYPE FILE       send a job, wait for its end, and say how it ended
//   jobs N TYPE FILE    N of them, which must all be right
//   chain N TYPE FILE   the same, but each is sent while the one before is answered
//   begin TYPE FILE     send a job, and do not wait
//   end                 wait for the end of that
//   unnamed             send a job with 260 units of name and no NUL
//   answered WHAT [N]   when told of an answer: take (it), die, hang (N ms, or until resume)
//   resume              end a hang
//   save PREFIX         write the results of the last job to PREFIX1 and PREFIX2
//   record              status, success, and what is in the extension, of the section
//
// A job is "right" when its results are the negative of a 24-bit BMP, and it upside
// down; other results are "answered". A job without success is "failed", one of which
// the window was told nothing "unanswered".

#include <atomic>
#include <cstdlib>

#include "earse.h"

namespace {

earse::Window window;
HANDLE section, ended, resume;
char *view;
std::atomic<int> hang_ms, die_when_told;

// The job; the window's thread's from its message until ended is set.
std::wstring file;
int type, more, told, succeeded;
bool unnamed, no_worker;
std::string result[2];

enum { SEND = WM_APP };

void send() {
  EarseJob job;
  std::memset(&job, 0xCC, sizeof job);  // the stack
  wchar_t *name = reinterpret_cast<wchar_t *>(job.source.name);
  if (unnamed)
    for (int i = 0; i < 260; i++) name[i] = L'x';
  else
    wcscpy(name, file.c_str());
  job.source.type = type;
  job.source.size = 0;
  job.source.offset = sizeof(EarseJob);
  job.status = 0;
  job.success = 0;
  std::memcpy(view, &job, sizeof job);
  HWND worker = FindWindowW(nullptr, EARSE_WIDE(EARSE_WORKER_TITLE));
  no_worker = worker == nullptr;
  if (!no_worker) SendMessageW(worker, EARSE_WRITTEN, 0, 0);
}

void take() {
  HANDLE mapping = OpenFileMappingW(FILE_MAP_READ, FALSE, EARSE_WIDE(EARSE_SECTION));
  if (mapping == nullptr) return;
  char *p = static_cast<char *>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, EARSE_SIZE));
  if (p != nullptr) {
    EarseJob *job = reinterpret_cast<EarseJob *>(p);
    if (job->success == 1) {
      succeeded++;
      for (int i = 0; i < 2; i++) result[i].assign(p + job->result[i].offset, job->result[i].size);
    }
    UnmapViewOfFile(p);
  }
  CloseHandle(mapping);
}

std::string verdict() {
  if (no_worker) return "no worker";
  if (told == 0) return "unanswered";
  if (succeeded < told) return "failed";
  std::string source = earse::read(file.c_str());
  return earse::Bmp(source) && result[0] == earse::inverted(source) && result[1] == earse::flipped(source) ? "right" : "answered";
}

bool right;  // all of a chain

LRESULT handle(UINT message, LPARAM) {
  if (message == SEND) {
    told = succeeded = 0, right = true;
    send();
    SetEvent(ended);
  }
  if (message == EARSE_READY) {
    if (die_when_told) TerminateProcess(GetCurrentProcess(), 9);
    if (hang_ms > 0) WaitForSingleObject(resume, hang_ms);
    told++;
    take();
    if (verdict() != "right") right = false;
    if (more > 0) {
      more--;
      send();
    }
    return 1;
  }
  return 0;
}

void begin(int t, const std::string &path, int further) {
  type = t, file = earse::wide(path), more = further;
  PostMessageW(window.handle(), SEND, 0, 0);
}

bool end(std::string *answer) {
  if (WaitForSingleObject(ended, 300000) != WAIT_OBJECT_0) return peer::refused("the job does not end");
  *answer = verdict();
  return true;
}

void save(const std::string &path, const std::string &data) {
  HANDLE f = CreateFileW(earse::wide(path).c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, 0, nullptr);
  DWORD n;
  WriteFile(f, data.data(), static_cast<DWORD>(data.size()), &n, nullptr);
  CloseHandle(f);
}

// number takes a number off the beginning of s.
int number(std::string *s) {
  size_t blank = s->find(' ');
  int n = std::atoi(s->c_str());
  *s = blank == std::string::npos ? "" : s->substr(blank + 1);
  return n;
}

bool obey(const std::string &command, std::string argument, std::string *answer) {
  if (command == "open") {
    int size = argument.empty() ? EARSE_SIZE : std::atoi(argument.c_str());
    section = CreateFileMappingW(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, size, EARSE_WIDE(EARSE_SECTION));
    if (section == nullptr) return peer::failed("CreateFileMapping");
    view = static_cast<char *>(MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, size));
    return view != nullptr ? window.open(EARSE_WIDE(EARSE_REQUESTER_TITLE), handle, answer) : peer::failed("MapViewOfFile");
  }
  if (command == "job" || command == "begin") {
    int t = number(&argument);
    begin(t, argument, 0);
    return command == "begin" || end(answer);
  }
  if (command == "end") return end(answer);
  if (command == "jobs") {
    int n = number(&argument), t = number(&argument);
    for (int i = 0; i < n; i++) {
      begin(t, argument, 0);
      if (!end(answer)) return false;
      if (*answer != "right") return peer::refused("job " + std::to_string(i) + " is " + *answer);
    }
    *answer = std::to_string(n) + " right";
    return true;
  }
  if (command == "chain") {
    int n = number(&argument), t = number(&argument);
    begin(t, argument, n - 1);
    if (!end(answer)) return false;
    *answer = std::to_string(told) + (right ? " right" : " not all right");
    return true;
  }
  if (command == "unnamed") {
    unnamed = true;
    begin(6, "", 0);
    bool ok = end(answer);
    unnamed = false;
    return ok;
  }
  if (command == "answered") {
    size_t blank = argument.find(' ');
    die_when_told = argument.substr(0, blank) == "die";
    hang_ms = argument.substr(0, blank) == "hang" ? std::atoi(argument.c_str() + blank) : 0;
    return true;
  }
  if (command == "resume") return SetEvent(resume) || peer::failed("SetEvent");
  if (command == "save") {
    for (int i = 0; i < 2; i++) save(argument + std::to_string(i + 1), result[i]);
    return true;
  }
  if (command == "record") {
    const EarseJob *job = reinterpret_cast<EarseJob *>(view);
    const wchar_t *text = reinterpret_cast<const wchar_t *>(job->extension);
    *answer = std::to_string(job->status) + " " + std::to_string(job->success) + " " + earse::narrow(text, wcsnlen(text, 100));
    return true;
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  ended = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  resume = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  peer::serve(obey);
  TerminateProcess(GetCurrentProcess(), 0);  // whatever the window's thread does
}
