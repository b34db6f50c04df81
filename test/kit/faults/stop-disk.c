/* Stops a mounted ext4 at once, as a power loss does: nothing more is written, not even what its log holds. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int count, char **words) {
  /* EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, fs/ext4/ext4.h. */
  uint32_t how = 2;
  int fd = count == 2 ? open(words[1], O_RDONLY) : -1;
  if (fd >= 0 && ioctl(fd, _IOR('X', 125, uint32_t), &how) == 0) return 0;
  perror(words[1]);
  return 1;
}
