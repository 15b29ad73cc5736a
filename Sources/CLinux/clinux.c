#define _GNU_SOURCE
#include "clinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int or_error(long result) { return result < 0 ? -errno : (int)result; }

const int clinux_open_direct = O_DIRECT;
const int clinux_open_close_on_exec = O_CLOEXEC;
const int clinux_write_durable = RWF_DSYNC;

// The kernel's own layout of struct statx (include/uapi/linux/stat.h): the C library's may be older than the fields
// wanted here, and the two headers cannot be included together.
struct status_of_kernel {
    unsigned int mask, block_size;
    unsigned long long attributes;
    unsigned int links, user, group;
    unsigned short mode, spare0;
    unsigned long long inode, size, blocks, attributes_mask;
    unsigned char times[64];
    unsigned int own_major, own_minor, device_major, device_minor;
    unsigned long long mount;
    unsigned int direct_memory_alignment, direct_offset_alignment;
    unsigned char later[256 - 0xa0];
};
_Static_assert(sizeof(struct status_of_kernel) == 256, "struct statx is 256 bytes");
_Static_assert(offsetof(struct status_of_kernel, size) == 0x28, "stx_size");
_Static_assert(offsetof(struct status_of_kernel, direct_memory_alignment) == 0x98, "stx_dio_mem_align");

int clinux_file_status(int descriptor, clinux_status *out)
{
    const unsigned int basic = 0x07ff, direct = 0x2000;
    struct status_of_kernel status;
    memset(&status, 0, sizeof status);
    if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, basic | direct, &status) < 0)
        return -errno;
    out->size = status.size;
    out->mode = status.mode;
    out->device_major = status.device_major;
    out->device_minor = status.device_minor;
    int says = (status.mask & direct) != 0;
    out->direct_memory_alignment = says ? status.direct_memory_alignment : ~0u;
    out->direct_offset_alignment = says ? status.direct_offset_alignment : ~0u;
    return 0;
}

// Whether the first line of a queue's attribute is `expected`. A partition has its queue one step up.
static int queue_says(unsigned int device_major, unsigned int device_minor, const char *attribute, const char *expected)
{
    const char *places[] = {"queue", "../queue"};
    for (size_t i = 0; i < 2; i++) {
        char path[128], line[32] = {0};
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/%s", device_major, device_minor, places[i], attribute);
        int descriptor = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptor < 0)
            continue;
        ssize_t count = read(descriptor, line, sizeof line - 1);
        close(descriptor);
        line[strcspn(line, "\n")] = 0;
        return count > 0 && strcmp(line, expected) == 0;
    }
    return 0;
}

int clinux_device_writes_through(unsigned int device_major, unsigned int device_minor)
{
    return queue_says(device_major, device_minor, "write_cache", "write through")
           || queue_says(device_major, device_minor, "fua", "1");
}

int clinux_clear_direct(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -errno : or_error(fcntl(descriptor, F_SETFL, flags & ~O_DIRECT));
}

int clinux_open(const char *path, int flags, unsigned int mode) { return or_error(open(path, flags, mode)); }

long clinux_write(int descriptor, const void *from, unsigned long count, unsigned long long offset, int write_flags)
{
    struct iovec vector = {.iov_base = (void *)from, .iov_len = count};
    ssize_t written = pwritev2(descriptor, &vector, 1, (off_t)offset, write_flags);
    return written < 0 ? -errno : written;
}

int clinux_allocate(int descriptor, unsigned long long offset, unsigned long long length)
{
    return or_error(fallocate(descriptor, 0, (off_t)offset, (off_t)length));
}

int clinux_forget_pages(int descriptor) { return -posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED); }

int clinux_free_bytes(const char *path, unsigned long long *out)
{
    struct statvfs status;
    if (statvfs(path, &status) < 0)
        return -errno;
    *out = (unsigned long long)status.f_bavail * status.f_frsize;
    return 0;
}

int clinux_try_lock(int descriptor) { return or_error(flock(descriptor, LOCK_EX | LOCK_NB)); }

int clinux_parse_address(const char *host, unsigned short port, clinux_address *out)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out->bytes;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out->length = sizeof *v4;
        return 0;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out->bytes;
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out->length = sizeof *v6;
        return 0;
    }
    return -EINVAL;
}

int clinux_resolve_address(const char *host, unsigned short port, clinux_address *out)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV}, *found;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -EHOSTUNREACH;
    memset(out, 0, sizeof *out);
    memcpy(out->bytes, found->ai_addr, found->ai_addrlen);
    out->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int clinux_format_address(const clinux_address *address, char *host)
{
    const struct sockaddr *any = (const struct sockaddr *)address->bytes;
    if (any->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address->bytes;
        return inet_ntop(AF_INET, &v4->sin_addr, host, 64) ? ntohs(v4->sin_port) : -errno;
    }
    if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address->bytes;
        return inet_ntop(AF_INET6, &v6->sin6_addr, host, 64) ? ntohs(v6->sin6_port) : -errno;
    }
    return -EAFNOSUPPORT;
}

int clinux_local_address(int descriptor, clinux_address *out)
{
    socklen_t length = sizeof out->bytes;
    int result = or_error(getsockname(descriptor, (struct sockaddr *)out->bytes, &length));
    out->length = length;
    return result;
}

int clinux_peer_address(int descriptor, clinux_address *out)
{
    socklen_t length = sizeof out->bytes;
    int result = or_error(getpeername(descriptor, (struct sockaddr *)out->bytes, &length));
    out->length = length;
    return result;
}

int clinux_socket(const clinux_address *address, int nonblocking)
{
    int family = ((const struct sockaddr *)address->bytes)->sa_family;
    return or_error(socket(family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0));
}

int clinux_bind_and_listen(int descriptor, const clinux_address *address, int backlog)
{
    int on = 1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -errno;
    if (bind(descriptor, (const struct sockaddr *)address->bytes, address->length) < 0)
        return -errno;
    return or_error(listen(descriptor, backlog));
}

int clinux_accept(int descriptor, int nonblocking)
{
    return or_error(accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0)));
}

int clinux_connect(int descriptor, const clinux_address *address)
{
    return or_error(connect(descriptor, (const struct sockaddr *)address->bytes, address->length));
}

int clinux_socket_error(int descriptor)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        return -errno;
    return -error;
}

long clinux_send(int descriptor, const void *from, unsigned long count)
{
    ssize_t sent = send(descriptor, from, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

long clinux_receive(int descriptor, void *into, unsigned long count)
{
    ssize_t received = recv(descriptor, into, count, MSG_DONTWAIT);
    return received < 0 ? -errno : received;
}

int clinux_tune_connection(int descriptor)
{
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},     {SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 5},
        {IPPROTO_TCP, TCP_KEEPINTVL, 4},   {IPPROTO_TCP, TCP_KEEPCNT, 3}, {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
        // What the kernel holds unsent stands before all that is more urgent: keep it short.
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 256 << 10},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (setsockopt(descriptor, options[i].level, options[i].name, &options[i].value, sizeof(int)) < 0)
            return -errno;
    return 0;
}

int clinux_event(void) { return or_error(eventfd(0, EFD_CLOEXEC)); }

void clinux_raise_event(int descriptor)
{
    unsigned long long one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

int clinux_poller(void) { return or_error(epoll_create1(EPOLL_CLOEXEC)); }

int clinux_poller_add(int poller, int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = descriptor};
    return or_error(epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event));
}

int clinux_poller_wait(int poller, clinux_readiness *out, int capacity, long long timeout_nanoseconds)
{
    struct epoll_event events[256];
    struct timespec timeout = {
        .tv_sec = timeout_nanoseconds / 1000000000,
        .tv_nsec = timeout_nanoseconds % 1000000000,
    };
    int limit = capacity < 256 ? capacity : 256;
    int count = epoll_pwait2(poller, events, limit, timeout_nanoseconds < 0 ? NULL : &timeout, NULL);
    if (count < 0 && errno == ENOSYS) {
        long long milliseconds = timeout_nanoseconds < 0 ? -1 : (timeout_nanoseconds + 999999) / 1000000;
        count = epoll_wait(poller, events, limit, milliseconds > 1000000 ? 1000000 : (int)milliseconds);
    }
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        unsigned int bits = events[i].events;
        int ended = (bits & (EPOLLERR | EPOLLHUP)) != 0;
        out[i].descriptor = events[i].data.fd;
        out[i].ready = (ended || (bits & (EPOLLIN | EPOLLRDHUP)) ? CLINUX_READABLE : 0)
                       | (ended || (bits & EPOLLOUT) ? CLINUX_WRITABLE : 0);
    }
    return count;
}

static void fill(sigset_t *set, const int *signals, int count)
{
    sigemptyset(set);
    for (int i = 0; i < count; i++)
        sigaddset(set, signals[i]);
}

int clinux_block_signals(const int *signals, int count)
{
    sigset_t set;
    fill(&set, signals, count);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int clinux_signal_descriptor(const int *signals, int count)
{
    sigset_t set;
    fill(&set, signals, count);
    return or_error(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_take_signal(int descriptor)
{
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    return count < 0 ? -errno : (int)info.ssi_signo;
}

void clinux_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

void clinux_name_thread(const char *name) { (void)pthread_setname_np(pthread_self(), name); }

int clinux_forbid_uring(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return or_error(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
}

// What the child does before it is the program. It shares the parent's memory, so it calls nothing that keeps state.
static int become(char *const *words, char *const *environment, const char *output, const char *errors, int parent)
{
    sigset_t none;
    sigemptyset(&none);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int err = open(errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        return errno;
    if (setpgid(0, 0) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return errno;
    if (getppid() != parent)
        return ESRCH;
    execvpe(words[0], words, environment);
    return errno;
}

int clinux_spawn(char *const *words, char *const *environment, const char *output, const char *errors)
{
    volatile int failure = 0;
    int parent = getpid();
    pid_t child = vfork();
    if (child == 0) {
        failure = become(words, environment, output, errors, parent);
        _exit(127);
    }
    if (child < 0)
        return -errno;
    if (failure != 0)
        waitpid(child, NULL, 0);
    return failure != 0 ? -failure : child;
}

int clinux_wait_for_process(int process, long long timeout_milliseconds, int *status)
{
    int descriptor = (int)syscall(SYS_pidfd_open, process, 0);
    if (descriptor < 0)
        return -errno;
    struct pollfd ended = {.fd = descriptor, .events = POLLIN};
    int result = poll(&ended, 1, timeout_milliseconds < 0 ? -1 : (int)timeout_milliseconds);
    int failure = errno;
    close(descriptor);
    if (result <= 0)
        return result < 0 ? -failure : -ETIMEDOUT;
    return waitpid(process, status, 0) < 0 ? -errno : 0;
}

void clinux_keep_freed_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

int clinux_limit_descriptors(unsigned int count)
{
    struct rlimit limit = {.rlim_cur = count, .rlim_max = count};
    return or_error(setrlimit(RLIMIT_NOFILE, &limit));
}

int clinux_shut_down_file_system(const char *path, int flushes_journal)
{
    // XFS_IOC_GOINGDOWN, which ext4 knows by the same number, and its flags.
    const unsigned int log_flush = 1, no_log_flush = 2;
    unsigned int flags = flushes_journal ? log_flush : no_log_flush;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    int result = or_error(ioctl(descriptor, _IOR('X', 125, unsigned int), &flags));
    close(descriptor);
    return result;
}
