// What the two programs of the EarseImage jobs have in common: a window with a title,
// whose messages a thread of its own handles, and 24-bit BMP files.
#ifndef SAMEPAGE_INTEROP_EARSE_H
#define SAMEPAGE_INTEROP_EARSE_H

#include <windows.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "legacy/wire.h"
#include "peer.h"

#define EARSE_WIDE2(s) L##s
#define EARSE_WIDE(s) EARSE_WIDE2(s)

namespace earse {

inline std::wstring wide(const std::string &s) {
  int n = MultiByteToWideChar(CP_UTF8, 0, s.data(), static_cast<int>(s.size()), nullptr, 0);
  std::wstring w(n, 0);
  MultiByteToWideChar(CP_UTF8, 0, s.data(), static_cast<int>(s.size()), &w[0], n);
  return w;
}

inline std::string narrow(const wchar_t *w, size_t units) {
  int n = WideCharToMultiByte(CP_UTF8, 0, w, static_cast<int>(units), nullptr, 0, nullptr, nullptr);
  std::string s(n, 0);
  WideCharToMultiByte(CP_UTF8, 0, w, static_cast<int>(units), &s[0], n, nullptr, nullptr);
  return s;
}

// read is the content of a file, empty when there is none.
inline std::string read(const wchar_t *path) {
  std::string s;
  HANDLE f = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
  if (f == INVALID_HANDLE_VALUE) return s;
  char b[65536];
  for (DWORD n; ReadFile(f, b, sizeof b, &n, nullptr) && n > 0;) s.append(b, n);
  CloseHandle(f);
  return s;
}

inline uint32_t word(const std::string &s, size_t at) {
  uint32_t v;
  std::memcpy(&v, s.data() + at, sizeof v);
  return v;
}

// Bmp is where the rows of a file are, if it is a 24-bit BMP.
struct Bmp {
  size_t at = 0, width = 0, height = 0, stride = 0;

  explicit Bmp(const std::string &s) {
    if (s.size() < 54 || s[0] != 'B' || s[1] != 'M' || (word(s, 28) & 0xFFFF) != 24) return;
    size_t w = word(s, 18), h = word(s, 22), from = word(s, 10), row = (w * 3 + 3) / 4 * 4;
    if (w > 100000 || h > 100000 || from + row * h > s.size()) return;
    at = from, width = w, height = h, stride = row;
  }
  explicit operator bool() const { return at != 0; }
};

// inverted is the negative of a 24-bit BMP.
inline std::string inverted(std::string s) {
  Bmp b(s);
  for (size_t y = 0; y < b.height; y++)
    for (size_t x = 0; x < 3 * b.width; x++) s[b.at + y * b.stride + x] ^= '\xFF';
  return s;
}

// flipped is a 24-bit BMP upside down.
inline std::string flipped(const std::string &s) {
  Bmp b(s);
  std::string out = s;
  for (size_t y = 0; y < b.height; y++) out.replace(b.at + y * b.stride, b.stride, s, b.at + (b.height - 1 - y) * b.stride, b.stride);
  return out;
}

// Window is made, and its messages are handled, by a thread of its own, as a dialog's
// are.
class Window {
 public:
  // open makes a hidden window of that title, or a message-only one where there is no
  // display; what says which. It is false when neither can be had.
  bool open(const wchar_t *title, LRESULT (*handle)(UINT message, LPARAM argument), std::string *what) {
    title_ = title, handle_ = handle;
    made_ = CreateEventW(nullptr, FALSE, FALSE, nullptr);
    CloseHandle(CreateThread(nullptr, 0, run, this, 0, nullptr));
    WaitForSingleObject(made_, INFINITE);
    *what = top_level_ ? "top-level" : "message-only";
    return window_ != nullptr || peer::failed("CreateWindowEx");
  }
  HWND handle() const { return window_; }

 private:
  static DWORD WINAPI run(void *self) {
    static_cast<Window *>(self)->loop();
    return 0;
  }

  void loop() {
    self() = this;
    WNDCLASSEXW c = {};
    c.cbSize = sizeof c, c.lpfnWndProc = proc, c.hInstance = GetModuleHandleW(nullptr), c.lpszClassName = L"CXXXDlg";
    RegisterClassExW(&c);
    window_ = CreateWindowExW(0, c.lpszClassName, title_, WS_OVERLAPPED, 0, 0, 100, 100, nullptr, nullptr, c.hInstance, nullptr);
    top_level_ = window_ != nullptr;
    if (!top_level_) window_ = CreateWindowExW(0, c.lpszClassName, title_, 0, 0, 0, 0, 0, HWND_MESSAGE, nullptr, c.hInstance, nullptr);
    SetEvent(made_);
    for (MSG m; GetMessageW(&m, nullptr, 0, 0) > 0;) DispatchMessageW(&m);
  }

  static Window *&self() {
    static Window *w;
    return w;
  }

  static LRESULT CALLBACK proc(HWND w, UINT message, WPARAM wparam, LPARAM lparam) {
    if (message >= WM_USER) return self()->handle_(message, lparam);
    return DefWindowProcW(w, message, wparam, lparam);
  }

  const wchar_t *title_ = nullptr;
  LRESULT (*handle_)(UINT, LPARAM) = nullptr;
  HANDLE made_ = nullptr;
  HWND window_ = nullptr;
  bool top_level_ = false;
};

}  // namespace earse

#endif
