/* Rust's standard library (in watchfiles and rpds) asks bcryptprimitives.dll for random bytes; Wine
   before 10 has no such library. RtlGenRandom, exported as SystemFunction036, gives the same bytes. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    return SystemFunction036(buffer, (ULONG)length);
}
