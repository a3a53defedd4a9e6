package waker

import "golang.org/x/sys/windows"

var procSwitchToThread = windows.NewLazySystemDLL("kernel32.dll").NewProc("SwitchToThread")

// GiveWay lets another thread run, of any process, if one waits for the processor of this one.
func GiveWay() { _, _, _ = procSwitchToThread.Call() }
