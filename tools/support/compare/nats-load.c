/* Loads a JetStream stream: so many connections, each with so many publications that wait for their acknowledgement.
 *
 *     nats-load HOST PORT SUBJECT PAYLOAD_BYTES CONNECTIONS WINDOW COUNT
 *
 * Prints publications a second and latencies, from the publication to its acknowledgement, as one JSON object. All of a
 * connection's publications are the same bytes, and a stream acknowledges them in their order, so what waits is a ring
 * of times. Any answer but an acknowledgement ends the program. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_BYTES = 1 << 17, IDLE_MILLISECONDS = 20000 };

struct connection {
    int fd;
    char *publication;
    size_t publication_bytes;
    /* Of `window` places, by number modulo the window. */
    uint64_t *sent_at;
    uint64_t sent, acknowledged, share;
    char *input;
    size_t input_bytes;
};

static uint64_t window, done;
static uint32_t *latencies;
/* Publications of one connection, one behind the other. */
static char *output;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static uint64_t now_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void send_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) fail("send", strerror(errno));
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void open_connection(struct connection *c, const struct sockaddr_in *address, unsigned number,
                            const char *subject, size_t payload_bytes) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)address, sizeof *address) < 0)
        fail("connect", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

    char greeting[256];
    int length = snprintf(greeting, sizeof greeting,
                          "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB answer.%u 1\r\n",
                          number);
    send_all(c->fd, greeting, (size_t)length);

    char head[512];
    length = snprintf(head, sizeof head, "PUB %s answer.%u %zu\r\n", subject, number, payload_bytes);
    if (length < 0 || length >= (int)sizeof head) fail("subject", "too long");
    c->publication_bytes = (size_t)length + payload_bytes + 2;
    c->publication = malloc(c->publication_bytes);
    c->sent_at = malloc(window * sizeof *c->sent_at);
    c->input = malloc(INPUT_BYTES);
    if (!c->publication || !c->sent_at || !c->input) fail("memory", strerror(ENOMEM));
    memcpy(c->publication, head, (size_t)length);
    memset(c->publication + length, 'x', payload_bytes);
    memcpy(c->publication + length + payload_bytes, "\r\n", 2);
}

/* Publishes as many as may be outstanding. */
static void publish(struct connection *c) {
    size_t bytes = 0;
    uint64_t now = now_nanoseconds();
    while (c->sent < c->share && c->sent - c->acknowledged < window) {
        memcpy(output + bytes, c->publication, c->publication_bytes);
        bytes += c->publication_bytes;
        c->sent_at[c->sent++ % window] = now;
    }
    send_all(c->fd, output, bytes);
}

static void acknowledge(struct connection *c, const char *text, size_t count, uint64_t now) {
    if (memmem(text, count, "\"error\"", 7) || !memmem(text, count, "\"seq\"", 5)) {
        fprintf(stderr, "refused: %.*s\n", (int)(count < 300 ? count : 300), text);
        exit(1);
    }
    if (c->acknowledged == c->sent) fail("answer", "more of them than publications");
    uint64_t microseconds = (now - c->sent_at[c->acknowledged++ % window]) / 1000;
    latencies[done++] = microseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)microseconds;
}

/* Takes one line of the server, with the payload that it announces. Returns its end, or NULL if it is not there yet. */
static char *take(struct connection *c, char *line, char *end, uint64_t now) {
    char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
    if (!stop) return NULL;
    char *next = stop + 2;
    if (!strncmp(line, "MSG ", 4)) {
        *stop = 0;
        size_t count = strtoul(strrchr(line, ' ') + 1, NULL, 10);
        *stop = '\r';
        if ((size_t)(end - next) < count + 2) return NULL;
        acknowledge(c, next, count, now);
        next += count + 2;
    } else if (!strncmp(line, "PING", 4)) {
        send_all(c->fd, "PONG\r\n", 6);
    } else if (strncmp(line, "INFO", 4) && strncmp(line, "+OK", 3)) {
        /* -ERR, or a message with headers: nobody listens to the subject. */
        *stop = 0;
        fail("server", line);
    }
    return next;
}

static void receive(struct connection *c) {
    ssize_t count = recv(c->fd, c->input + c->input_bytes, INPUT_BYTES - c->input_bytes, 0);
    if (count < 0 && errno == EINTR) return;
    if (count <= 0) fail("receive", count ? strerror(errno) : "the server ended the connection");
    c->input_bytes += (size_t)count;
    uint64_t now = now_nanoseconds();
    char *at = c->input, *end = at + c->input_bytes;
    for (char *next; (next = take(c, at, end, now)); at = next) {}
    c->input_bytes = (size_t)(end - at);
    memmove(c->input, at, c->input_bytes);
    if (c->input_bytes == INPUT_BYTES) fail("receive", "a line that is too long");
    publish(c);
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(int count, char **words) {
    if (count != 8) fail("usage", "nats-load HOST PORT SUBJECT PAYLOAD_BYTES CONNECTIONS WINDOW COUNT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &address.sin_addr) != 1) fail("address", words[1]);
    size_t payload_bytes = strtoul(words[4], NULL, 10);
    uint64_t connection_count = strtoul(words[5], NULL, 10);
    window = strtoul(words[6], NULL, 10);
    uint64_t total = strtoul(words[7], NULL, 10);
    if (!connection_count || !window || !total) fail("usage", "connections, window and count are at least 1");

    struct connection *connections = calloc(connection_count, sizeof *connections);
    latencies = malloc(total * sizeof *latencies);
    output = malloc(window * (payload_bytes + 512));
    if (!connections || !latencies || !output) fail("memory", strerror(ENOMEM));
    int poller = epoll_create1(0);
    for (uint64_t i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->share = total / connection_count + (i < total % connection_count);
        open_connection(c, &address, (unsigned)i, words[3], payload_bytes);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    }

    uint64_t start = now_nanoseconds();
    for (uint64_t i = 0; i < connection_count; i++) publish(&connections[i]);
    while (done < total) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, IDLE_MILLISECONDS);
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) fail("wait", ready ? strerror(errno) : "no acknowledgement any more");
        for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
    }
    double seconds = (double)(now_nanoseconds() - start) / 1e9;

    qsort(latencies, done, sizeof *latencies, ascending);
    printf("{\"per_second\": %.1f, \"p50_milliseconds\": %.3f, \"p99_milliseconds\": %.3f}\n", (double)done / seconds,
           latencies[done / 2] / 1e3, latencies[done * 99 / 100] / 1e3);
    return 0;
}
