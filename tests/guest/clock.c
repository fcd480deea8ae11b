/* The clock of the day, off by as many seconds as the file $HARNESS_CLOCK says; for LD_PRELOAD. */

struct timespec { long tv_sec, tv_nsec; };
struct timeval { long tv_sec, tv_usec; };

char *getenv(const char *name);
int open(const char *path, int flags, ...);
void *mmap(void *at, unsigned long size, int protection, int flags, int file, long offset);
long syscall(long number, ...);

static long none;
static volatile long *off = &none;

/* At once: a process may forbid itself to open files later on. */
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("HARNESS_CLOCK");
    int file = path ? open(path, 0) : -1;
    if (file >= 0) off = mmap(0, sizeof *off, 1 /* PROT_READ */, 1 /* MAP_SHARED */, file, 0);
}

int clock_gettime(int clock, struct timespec *now) {
    long failed = syscall(228, clock, now);
    if (!failed && (clock == 0 || clock == 5)) now->tv_sec += *off; /* CLOCK_REALTIME, _COARSE */
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    long failed = syscall(96, now, zone);
    if (!failed && now) now->tv_sec += *off;
    return failed;
}

long time(long *given) {
    struct timespec now;
    clock_gettime(0, &now);
    if (given) *given = now.tv_sec;
    return now.tv_sec;
}
