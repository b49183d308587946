/* SPDX-License-Identifier: MIT
 * Of two libraries that take turns at one address: turn(f) calls f. FRAME: how many bytes its frame has, a
 * multiple of 16 (on x86-64, 8 more). */
#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

__asm__(".text\n.p2align 12\n.globl turn\n.type turn, @function\nturn:\n.cfi_startproc\n"
#if defined(__x86_64__)
        "sub $" NUMBER(FRAME) ", %rsp\n.cfi_adjust_cfa_offset " NUMBER(
            FRAME) "\n"
                   "call *%rdi\n"
                   "add $" NUMBER(FRAME) ", %rsp\n.cfi_adjust_cfa_offset -" NUMBER(
                       FRAME) "\n"
#elif defined(__aarch64__)
        "sub sp, sp, #" NUMBER(FRAME) "\n.cfi_adjust_cfa_offset " NUMBER(
            FRAME) "\n"
                   "str x30, [sp]\n.cfi_offset 30, -" NUMBER(
                       FRAME) "\n"
                              "blr x0\n"
                              "ldr x30, [sp]\n.cfi_restore 30\n"
                              "add sp, sp, #" NUMBER(FRAME) "\n.cfi_adjust_cfa_offset -" NUMBER(
                                  FRAME) "\n"
#endif
                              "ret\n.cfi_endproc\n.size turn, .-turn\n");
