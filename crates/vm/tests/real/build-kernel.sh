#!/bin/sh
# Builds kernel.c: build-kernel.sh OUTPUT
exec cc -m32 -O1 -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none -nostdlib \
    -static -no-pie -Wl,-m,elf_i386,-Ttext=0x101000 -Wl,--section-start=.multiboot=0x100000 \
    -Wl,--build-id=none -o "$1" "$(dirname "$0")/kernel.c"
