//go:build !race && !samepagefault

#include "textflag.h"

// The offsets are those of layout.Entry (Sequence 0, Slot and Length 8, Next 16)
// and layout.SlotHeader (Generation 0, Length 8).

// func commit(entry, header unsafe.Pointer, head *uint64, q, place uint64, next uint32, fence bool)
TEXT ·commit(SB), NOSPLIT, $0-45
	MOVQ entry+0(FP), AX
	MOVQ header+8(FP), BX
	MOVQ head+16(FP), R8
	MOVQ q+24(FP), CX
	MOVQ place+32(FP), DX
	MOVL next+40(FP), SI
	MOVQ DX, DI
	SHRQ $32, DI
	LEAQ 1(CX), R9
	MOVL DI, 8(BX) // P2
	MOVQ CX, 0(BX)
	MOVQ $0, 0(AX) // P3
	MOVQ DX, 8(AX) // P4
	MOVL SI, 16(AX)
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

// func poll(seq *uint64, want uint64, hint unsafe.Pointer, n uint32) bool
TEXT ·poll(SB), NOSPLIT, $0-33
	MOVQ seq+0(FP), AX
	MOVQ want+8(FP), BX
	MOVQ hint+16(FP), CX
	MOVL n+24(FP), DX
	XORL SI, SI
look:
	MOVQ (AX), DI
	CMPQ DI, BX
	JCC  found
	SUBL $1, DX
	JCS  done
	PREFETCHT0 (CX)
	PREFETCHT0 64(CX)
	PAUSE
	JMP  look
found:
	MOVL $1, SI
done:
	MOVB SI, ret+32(FP)
	RET
