//go:build !race && !samepagefault

#include "textflag.h"

// The offsets are those of layout.Entry (Sequence 0, Slot 8) and layout.SlotHeader (Generation 0,
// Length 8, Next 24).

// func commit(entry, header unsafe.Pointer, head *uint64, q uint64, slot, n, next uint32, fence bool)
TEXT ·commit(SB), NOSPLIT, $0-45
	MOVQ entry+0(FP), AX
	MOVQ header+8(FP), BX
	MOVQ head+16(FP), R8
	MOVQ q+24(FP), CX
	MOVL slot+32(FP), DX
	MOVL n+36(FP), DI
	MOVL next+40(FP), SI
	LEAQ 1(CX), R9
	MOVL DI, 8(BX) // P2
	MOVL SI, 24(BX)
	MOVQ CX, 0(BX) // P3
	MOVQ $0, 0(AX) // P4
	MOVL DX, 8(AX)
	CMPB fence+44(FP), $0
	JEQ  plain
	XCHGQ CX, 0(AX) // P5
	MOVQ R9, (R8)
	RET
plain:
	MOVQ CX, 0(AX) // P5
	MOVQ R9, (R8)
	RET

// func zeroGenerations(base unsafe.Pointer, size uintptr, slots *uint32, n int)
TEXT ·zeroGenerations(SB), NOSPLIT, $0-32
	MOVQ base+0(FP), AX
	MOVQ size+8(FP), BX
	MOVQ slots+16(FP), CX
	MOVQ n+24(FP), DX
	XORL DI, DI
next:
	MOVL (CX), SI
	IMULQ BX, SI
	MOVQ DI, (AX)(SI*1)
	ADDQ $4, CX
	SUBQ $1, DX
	JNZ  next
	RET

// func storeRelease(p *uint64, v uint64)
TEXT ·storeRelease(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ v+8(FP), CX
	MOVQ CX, 0(AX)
	RET

// func poll(at *uint64, want uint64, n uint32) bool
TEXT ·poll(SB), NOSPLIT, $0-25
	MOVQ at+0(FP), AX
	MOVQ want+8(FP), BX
	MOVL n+16(FP), DX
	XORL SI, SI
look:
	CMPQ BX, (AX)
	JEQ  found
	SUBL $1, DX
	JCS  done
	PREFETCHT0 64(AX)
	PAUSE
	JMP  look
found:
	MOVL $1, SI
done:
	MOVB SI, ret+24(FP)
	RET
