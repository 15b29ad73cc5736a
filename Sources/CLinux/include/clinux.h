// Linux constants and calls that Swift's Glibc module does not import: macros behind feature tests, variadic functions,
// structures newer than the C library. Includes no system header, so that nothing of theirs leaks into Swift.
//
// Calls return 0 or a value on success and a negative error number otherwise; none touches errno's reader.

#ifndef CLINUX_H
#define CLINUX_H

// Flags of open(2), from the system's own headers.
extern const int clinux_open_direct;
extern const int clinux_open_close_on_exec;

// RWF_DSYNC: this write is durable when it returns.
extern const int clinux_write_durable;

typedef struct {
    unsigned long long size;
    unsigned int mode;
    // Alignment for direct I/O: of memory, and of offsets and lengths. 0 when the file system supports none; both are
    // -1 (all bits) when it does not say.
    unsigned int direct_memory_alignment;
    unsigned int direct_offset_alignment;
    // The device that holds the file.
    unsigned int device_major;
    unsigned int device_minor;
} clinux_status;

int clinux_file_status(int descriptor, clinux_status *out);

// 1 when a durable write to this device needs no flush of its cache afterwards: the device writes through, or takes
// writes that bypass its cache (FUA). 0 when it does, or cannot be asked.
int clinux_device_writes_through(unsigned int device_major, unsigned int device_minor);

// Switches O_DIRECT off on an open file.
int clinux_clear_direct(int descriptor);

int clinux_open(const char *path, int flags, unsigned int mode);
long clinux_write(int descriptor, const void *from, unsigned long count, unsigned long long offset, int write_flags);

// Allocates blocks and extends the file with zeros.
int clinux_allocate(int descriptor, unsigned long long offset, unsigned long long length);

// Asks the system to drop the cached pages of a file.
int clinux_forget_pages(int descriptor);

// Bytes that an unprivileged process can still allocate on the file system that holds `path`.
int clinux_free_bytes(const char *path, unsigned long long *out);

// Takes an exclusive lock without waiting; -EWOULDBLOCK when another holds it.
int clinux_try_lock(int descriptor);

// Lets the allocator keep what is freed, up to a gigabyte, instead of giving it back to the system.
void clinux_keep_freed_memory(void);

// A socket address of any family.
typedef struct {
    _Alignas(8) unsigned char bytes[128];
    unsigned int length;
} clinux_address;

// A numeric IPv4 or IPv6 address; 0, or -EINVAL when `host` is something else.
int clinux_parse_address(const char *host, unsigned short port, clinux_address *out);
// A host name too; may ask the network, so it may take long. 0, or -EHOSTUNREACH.
int clinux_resolve_address(const char *host, unsigned short port, clinux_address *out);
// Writes the numeric form, at most 64 bytes with its end, and returns the port, or a negative error number.
int clinux_format_address(const clinux_address *address, char *host);
int clinux_local_address(int descriptor, clinux_address *out);
int clinux_peer_address(int descriptor, clinux_address *out);

// A TCP socket of the address's family, closed on exec.
int clinux_socket(const clinux_address *address, int nonblocking);
int clinux_bind_and_listen(int descriptor, const clinux_address *address, int backlog);
int clinux_accept(int descriptor, int nonblocking);
int clinux_connect(int descriptor, const clinux_address *address);
// The error that ended a connection attempt, 0 when it is connected, negated otherwise.
int clinux_socket_error(int descriptor);
// Sends without SIGPIPE and without waiting.
long clinux_send(int descriptor, const void *from, unsigned long count);
long clinux_receive(int descriptor, void *into, unsigned long count);
// No delay for small sends; a dead peer is noticed in seconds.
int clinux_tune_connection(int descriptor);

// An eventfd, closed on exec. Raising it wakes whoever reads or polls it.
int clinux_event(void);
void clinux_raise_event(int descriptor);

// Readiness: edge-triggered, both directions, one registration for the life of a descriptor.
enum { CLINUX_READABLE = 1, CLINUX_WRITABLE = 2 };
typedef struct {
    int descriptor;
    int ready;
} clinux_readiness;
int clinux_poller(void);
int clinux_poller_add(int poller, int descriptor);
// Waits; a negative timeout waits without limit. Returns how many were written, 0 when the time ran out.
int clinux_poller_wait(int poller, clinux_readiness *out, int capacity, long long timeout_nanoseconds);

// Signals as a descriptor: blocks `signals` in the calling thread and those it starts later.
int clinux_block_signals(const int *signals, int count);
int clinux_signal_descriptor(const int *signals, int count);
// The next pending signal, or -EAGAIN.
int clinux_take_signal(int descriptor);
void clinux_ignore_broken_pipes(void);

void clinux_name_thread(const char *name);

// Forbids the calling thread, and threads that it starts later, to make an io_uring, as containers commonly do.
int clinux_forbid_uring(void);

// Starts a program, found by PATH when its name has no slash, in a process group of its own, with no signal blocked.
// Both outputs are added to files. The system ends it by SIGKILL when the calling thread has ended. Returns its id.
int clinux_spawn(char *const *words, char *const *environment, const char *output, const char *errors);
// Waits for the end of a child process, at most so long; a negative time waits without limit. Returns 0 with its wait
// status, or -ETIMEDOUT while it lives.
int clinux_wait_for_process(int process, long long timeout_milliseconds, int *status);

// Lets the calling process have at most so many descriptors.
int clinux_limit_descriptors(unsigned int count);

// Shuts down the file system that holds `path` at once, as ext4 and XFS can: what it has not written to its device is
// lost, but for its journal if that is to be flushed first.
int clinux_shut_down_file_system(const char *path, int flushes_journal);

#endif
