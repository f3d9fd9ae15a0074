/* A kernel that does what its command line says: it writes to the serial line, and ends in one of the ways there are. */

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

/* So that a loader of the Multiboot kind takes it. */
__attribute__((section(".multiboot"), used)) static const u32 header[] = {
    0x1badb002, 0, -0x1badb002};

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static u16 in16(u16 port) {
    u16 value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void say(const char *text) {
    while (*text)
        out8(0x3f8, *text++);
}

static const char *after(const char *text, const char *word) {
    while (*word)
        if (*text++ != *word++)
            return 0;
    return text;
}

/* Where this machine's power management is, as its firmware leaves it. */
#define EVENTS 0x600
#define BUTTON 0x100
#define POWER_OFF 0x2000

__attribute__((used)) static void run(const u32 *information) {
    const char *line = (const char *)information[4];
    const char *rest;
    while (*line && *line != ' ') /* the kernel's own name comes first */
        line++;
    while (*line == ' ')
        line++;
    if (after(line, "button"))
        out16(EVENTS + 2, BUTTON);
    say("told: ");
    say(line);
    say("\n");
    if ((rest = after(line, "exit="))) {
        u32 code = 0;
        while (*rest >= '0' && *rest <= '9')
            code = code * 10 + (*rest++ - '0');
        out8(0xf4, code);
    }
    if (after(line, "panic"))
        out8(0x505, 1);
    if (after(line, "reset"))
        out8(0x64, 0xfe);
    if (after(line, "button")) {
        while (!(in16(EVENTS) & BUTTON))
            ;
        say("pressed\n");
    }
    if (after(line, "button") || after(line, "off"))
        out16(EVENTS + 4, POWER_OFF);
    for (;;)
        __asm__ volatile("pause");
}

__asm__(".globl _start\n_start: cli\n mov $0x80000, %esp\n push %ebx\n call run\n");
