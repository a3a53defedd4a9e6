//go:build !race && !samepagefault

#include "textflag.h"

// The offsets are those of layout.Entry (Sequence 0, Slot 8) and layout.SlotHeader (Generation 0,
// Length 8, Next 24), and of LaneWords.Bytes after Head (32).

// Go's assembler does not know PREFETCHW. Processors that do not have it do nothing.
//
// func commit(entry, header, old unsafe.Pointer, head *uint64, q, total uint64, slot, n, next uint32, fence bool, ahead unsafe.Pointer)
TEXT ·commit(SB), NOSPLIT, $0-72
	MOVQ entry+0(FP), AX
	MOVQ header+8(FP), BX
	MOVQ old+16(FP), R10
	MOVQ head+24(FP), R8
	MOVQ q+32(FP), CX
	MOVQ total+40(FP), R12
	MOVL slot+48(FP), DX
	MOVL n+52(FP), DI
	MOVL next+56(FP), SI
	MOVQ ahead+64(FP), R13
	BYTE $0x0F; BYTE $0x0D; BYTE $0x48; BYTE $0x40              // PREFETCHW 64(AX)
	BYTE $0x41; BYTE $0x0F; BYTE $0x0D; BYTE $0x4D; BYTE $0x00 // PREFETCHW (R13)
	BYTE $0x41; BYTE $0x0F; BYTE $0x0D; BYTE $0x4D; BYTE $0x40 // PREFETCHW 64(R13)
	XORL R11, R11
	LEAQ 1(CX), R9
	MOVL DI, 8(BX) // P2
	MOVL SI, 24(BX)
	MOVQ CX, 0(BX) // P3
	MOVQ R11, 0(AX) // P4
	MOVL DX, 8(AX)
	CMPB fence+60(FP), $0
	JEQ  plain
	XCHGQ CX, 0(AX) // P5
	MOVQ R9, (R8)
	MOVQ R12, 32(R8)
	MOVQ R11, (R10) // F1
	RET
plain:
	MOVQ CX, 0(AX) // P5
	MOVQ R9, (R8)
	MOVQ R12, 32(R8)
	MOVQ R11, (R10) // F1
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
