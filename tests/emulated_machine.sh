#!/usr/bin/env bash
# emulated_machine.sh - runs a program on a processor that this one may not be: in Bochs as a Sapphire Rapids, which has
# AVX512-BF16, under Debian 13's kernel. (Bochs 3.0 has AMX as well, which Linux leaves off where XFD is missing.)
# tests/everywhere.sh calls it inside a file system of Debian 13, for debian-13-bf16. Takes minutes.
# Usage: tests/emulated_machine.sh PROGRAM [ARGUMENTS...]
# Prints what the machine's console says. Its exit code is the program's.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
. "$(dirname "${BASH_SOURCE[0]}")/../jobs/packages.sh"
ensure_packages bochs bochs-term bochsbios vgabios busybox-static cpio grub-common grub-pc-bin xorriso mtools bsdutils
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# The kernel's package would make an initial file system of its own: only its kernel is taken.
image=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
apt-get -q -o APT::Sandbox::User=root download "$image" >/dev/null
dpkg-deb -x linux-image-*.deb kernel
mkdir -p root/{bin,proc,dev} iso/boot/grub
cp kernel/boot/vmlinuz-* iso/boot/vmlinuz

# All there is on the machine: the program, its libraries, and a shell that starts it. A reset ends the emulator.
cp /bin/busybox root/bin/
for file in "$1" $(ldd "$1" | grep -o '/[^ ]*'); do
  mkdir -p "root$(dirname "$file")"
  cp -L "$file" "root$file"
done
cat >root/init <<INIT
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
export OMP_NUM_THREADS=1
$(printf '%q ' "$@") 2>&1
echo "ended with \$?"
/bin/busybox reboot -f
INIT
chmod +x root/init
(cd root && find . | cpio -o -H newc 2>/dev/null) | gzip -1 >iso/boot/initrd
# Without AMX's tiles: Linux takes one half of their state for there, and stops. Without ACPI: turning it on ends in Bochs.
cat >iso/boot/grub/grub.cfg <<'GRUB'
set timeout=0
menuentry coppice {
  linux /boot/vmlinuz console=ttyS0 nokaslr mitigations=off nopti tsc=reliable clearcpuid=amx_tile acpi=off reboot=triple panic=1 loglevel=3
  initrd /boot/initrd
}
GRUB
grub-mkrescue -o machine.iso iso >grub.log 2>&1 || { cat grub.log >&2; exit 1; }

cat >bochsrc <<BOCHS
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=sapphire_rapids, count=1, ips=20000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$folder/machine.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$folder/console
log: $folder/bochs.log
panic: action=fatal
error: action=report
clock: sync=none
sound: driver=dummy
BOCHS
touch console
# It draws its screen on a terminal of its own, whose name it says, and stops where nobody reads that.
TERM=xterm script -qec "bochs -q -f $folder/bochsrc" /dev/null </dev/null >screen 2>&1 &
machine=$!
until terminal=$(grep -o '/dev/pts/[0-9]*' screen) || ! kill -0 $machine 2>/dev/null; do sleep 0.2; done
if [ -n "$terminal" ]; then
  stty raw -echo -F "$terminal"
  cat "$terminal" >/dev/null 2>&1 &
fi
wait $machine || :
cat console
code=$(sed -n 's/^ended with \([0-9]*\).*/\1/p' console)
[ -n "$code" ] || { echo "the machine stopped before the program ended:" >&2; grep PANIC bochs.log >&2 || tail -n 5 bochs.log >&2; exit 1; }
exit "$code"
