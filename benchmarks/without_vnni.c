/* Hides AVX-512, VNNI and AMX from one program, so that a newer x86-64 processor computes as one with AVX2 does.

       gcc -O1 -shared -fPIC -o without_vnni.so benchmarks/without_vnni.c
       LD_PRELOAD=./without_vnni.so python benchmarks/neighbours.py
       LD_PRELOAD=./without_vnni.so python -m pytest -p no:faulthandler tests/unit/backbones/test_products.py

   Linux lets a process trap CPUID (arch_prctl ARCH_SET_CPUID, where /proc/cpuinfo says cpuid_fault); the handler asks
   the processor and clears what is to be hidden. ONNX Runtime then takes its AVX2 kernels: integer products of 8 bits are
   cut off, those of 7 bits are not. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

static void allow_cpuid(int on) {
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, on)) {
        perror("without_vnni: this kernel or processor cannot trap CPUID");
        _exit(99);
    }
}

static void answer(int signal_number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned char *code = (unsigned char *)registers[REG_RIP];
    if (code[0] != 0x0f || code[1] != 0xa2) { /* a real fault: let it come again and end the program */
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    unsigned leaf = registers[REG_RAX], part = registers[REG_RCX], a, b, c, d;
    allow_cpuid(1);
    __cpuid_count(leaf, part, a, b, c, d);
    allow_cpuid(0);
    if (leaf == 7 && part == 0) {
        b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)); /* AVX512 F .. VL */
        c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));                                /* VBMI, VNNI .. */
        d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25));             /* FP16, AMX */
    } else if (leaf == 7 && part == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(22) | BIT(23)); /* AVX-VNNI, BF16, AMX-FP16, AVX-IFMA */
        d &= ~(BIT(4) | BIT(5) | BIT(10));                     /* AVX-VNNI-INT8, INT16 */
    }
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action = {0};
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
    sigaction(SIGSEGV, &action, 0);
    allow_cpuid(0);
}
