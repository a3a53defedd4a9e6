/*
 * bcryptprimitives.dll for a Wine that lacks it: Go's runtime loads the DLL at
 * start and takes its random numbers from the one function below.
 */
#include <windows.h>

/* RtlGenRandom's exported name. */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T size)
{
	while (size > 0) {
		ULONG part = size > 0x10000000 ? 0x10000000 : (ULONG)size;

		if (!SystemFunction036(data, part))
			return FALSE;
		data += part;
		size -= part;
	}
	return TRUE;
}
