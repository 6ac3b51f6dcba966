/* load - clients of a proxy, and what they reach through it, in one process.
 *
 *     load MODE [OPTION VALUE]...      prints one line of JSON
 *
 * MODE       down, up: octets as fast as they come; connections: one after the other, each from
 *            connect() to the first echoed octet; echo: round trips in tunnels that stand; idle:
 *            tunnels that say one octet, and then nothing until standard input ends
 * --target   ROLE:ADDRESS:PORT to listen on; ROLE is echo, sink or source
 * --route    ADDRESS:PORT[=STEPS]: where to connect, and what to say there before a tunnel stands
 * --clients  how many at a time          --size  octets of a message
 * --seconds  how long to measure         --warmup  how long not to
 *
 * STEPS, joined by commas:
 *     s:HEX        send these octets
 *     x:HEX[:AT]   expect these; ".." is any octet.  As many more follow as the two octets at AT say
 *     p            the message has been sent along with the request
 *
 * "BEGIN" and "END" on standard error tell when the measured time begins and ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ROUTES = 64, MOST_STEPS = 8, MOST_ANSWER = 4096, EVENTS = 512 };
enum { SOURCE_LENGTH = 4 << 20, BUFFER_LENGTH = 256 << 10, TURNS = 8 };
/* Idle tunnels that are being opened at a time: no proxy's backlog is shorter. */
enum { OPENING = 64 };
/* Local addresses that clients connect from, so that ports do not run out. */
enum { LOCAL_ADDRESSES = 16 };

enum Kind { LISTENER, ECHO, SINK, SOURCE, CLIENT };
enum Mode { DOWN, UP, CONNECTIONS, ROUND_TRIPS, IDLE };

typedef struct {
  char kind;
  unsigned char *octets, *mask;
  int length, at;
} Step;

typedef struct {
  struct sockaddr_in where;
  Step steps[MOST_STEPS];
  int count;
} Route;

typedef struct Connection {
  enum Kind kind, role;
  int fd, number, step, held;
  bool connected, said, ready;
  const Route *route;
  uint64_t since;
  off_t offset;
  size_t echoed;
  unsigned char *answer;
  struct Connection *next;
} Connection;

static enum Mode mode;
static int poller, sourceFile, routeCount, clientCount = 1;
static size_t messageLength = 1;
static Route routes[MOST_ROUTES];
static Connection *clients, *closed;
static char buffer[BUFFER_LENGTH];
static bool measuring, ending;
static uint64_t received, done, failed, standing, startedClients;
static int lastError;
static float *latencies;
static size_t latencyCount, latencySpace;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void watch(Connection *c, uint32_t events, int operation) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(poller, operation, c->fd, &event) < 0) die("epoll_ctl");
}

/* ---- What the command line says ---- */

static struct sockaddr_in addressFrom(const char *text) {
  struct sockaddr_in found = {.sin_family = AF_INET};
  char host[64] = "";
  int port;
  if (sscanf(text, "%63[^:]:%d", host, &port) != 2 || !inet_aton(host, &found.sin_addr)) {
    fprintf(stderr, "load: not an address: %s\n", text);
    exit(2);
  }
  found.sin_port = htons((uint16_t)port);
  return found;
}

static void addRoute(char *text) {
  Route *route = &routes[routeCount++];
  char *steps = strchr(text, '=');
  if (steps) *steps++ = 0;
  route->where = addressFrom(text);
  for (char *word = steps ? strtok(steps, ",") : 0; word; word = strtok(0, ",")) {
    Step *step = &route->steps[route->count++];
    char *hex = word + 2, *at = *word == 'p' ? 0 : strchr(hex, ':');
    step->kind = *word;
    if (*word == 'p') continue;
    step->at = at ? atoi(at + 1) : -1;
    step->length = (int)(at ? at - hex : (long)strlen(hex)) / 2;
    step->octets = calloc(1, (size_t)step->length);
    step->mask = calloc(1, (size_t)step->length);
    for (int i = 0; i < step->length; i++) {
      char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
      if (digits[0] == '.') continue;
      step->octets[i] = (unsigned char)strtol(digits, 0, 16);
      step->mask[i] = 0xff;
    }
  }
}

static void addTarget(char *text) {
  Connection *c = calloc(1, sizeof *c);
  char *where = strchr(text, ':');
  struct sockaddr_in address = addressFrom(where + 1);
  int on = 1;
  c->kind = LISTENER;
  c->role = !strncmp(text, "echo", 4) ? ECHO : !strncmp(text, "sink", 4) ? SINK : SOURCE;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  if (listen(c->fd, 4096) < 0) die("listen");
  watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

/* ---- Octets ---- */

/* Neither side touches the octets it sends or drops, so that the proxy is the bottleneck. */
static int sendMuch(Connection *c) {
  for (int i = 0; i < TURNS; i++) {
    off_t offset = c->offset % SOURCE_LENGTH;
    ssize_t sent = sendfile(c->fd, sourceFile, &offset, 1 << 20);
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    c->offset = offset;
  }
  return 0;
}

static int dropMuch(Connection *c) {
  for (int i = 0; i < TURNS; i++) {
    ssize_t count = recv(c->fd, 0, SOURCE_LENGTH, MSG_TRUNC | MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN ? 0 : -1;
    if (!count) return -1;
    received += (uint64_t)count;
  }
  return 0;
}

static int sendAll(Connection *c, const void *octets, size_t length) {
  return send(c->fd, octets, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

/* ---- Targets ---- */

static void accepted(Connection *listener) {
  for (int i = 0; i < OPENING; i++) {
    int on = 1, fd = accept4(listener->fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    Connection *c = calloc(1, sizeof *c);
    c->kind = listener->role;
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(c, c->kind == SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
  }
}

static int serve(Connection *c, uint32_t events) {
  if (c->kind == SINK) return dropMuch(c);
  if (events & EPOLLIN) {
    ssize_t count = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count <= 0) return count < 0 && errno == EAGAIN ? 0 : -1;
    return c->kind == ECHO ? sendAll(c, buffer, (size_t)count) : 0;
  }
  return events & EPOLLOUT ? sendMuch(c) : -1;
}

static void targetEvent(Connection *c, uint32_t events) {
  if (c->kind == LISTENER) {
    accepted(c);
  } else if (serve(c, events) < 0) {
    close(c->fd);
    c->fd = -1;
    /* Other events of this turn may name it. */
    c->next = closed;
    closed = c;
  }
}

/* ---- Clients ---- */

static void start(Connection *c) {
  struct sockaddr_in local = {.sin_family = AF_INET};
  int on = 1;
  c->route = &routes[startedClients++ % (uint64_t)routeCount];
  c->kind = CLIENT;
  c->step = c->held = 0;
  c->connected = c->said = c->ready = false;
  c->echoed = 0;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  local.sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(c->number % LOCAL_ADDRESSES));
  if (bind(c->fd, (struct sockaddr *)&local, sizeof local) < 0) die("bind");
  c->since = now();
  connect(c->fd, (const struct sockaddr *)&c->route->where, sizeof c->route->where);
  watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static void again(Connection *c) {
  close(c->fd);
  c->fd = -1;
  if (!ending) start(c);
}

static void count(Connection *c) {
  uint64_t time = now();
  if (measuring) {
    if (latencyCount == latencySpace) {
      latencySpace = latencySpace ? 2 * latencySpace : 1 << 16;
      latencies = realloc(latencies, latencySpace * sizeof *latencies);
      if (!latencies) die("realloc");
    }
    latencies[latencyCount++] = (float)(time - c->since) / 1e3f;
    done++;
  }
  c->since = time;
}

static int say(Connection *c) {
  if (c->said) return 0;
  c->said = true;
  return sendAll(c, buffer, messageLength);
}

static int ready(Connection *c) {
  c->ready = true;
  standing++;
  if (mode == DOWN || mode == UP) {
    watch(c, mode == UP ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    return 0;
  }
  if (mode == ROUND_TRIPS) c->since = now();
  return say(c);
}

static int echoed(Connection *c, size_t length) {
  c->echoed += length;
  if (c->echoed < messageLength) return 0;
  c->echoed -= messageLength;
  if (mode == IDLE) {
    done++;
    return 0;
  }
  count(c);
  if (mode == CONNECTIONS) {
    again(c);
    return 0;
  }
  c->said = false;
  return say(c);
}

/* Find how long an answer is: 0: it is not all there; negative: it is the wrong one. */
static int answered(const Step *step, const unsigned char *octets, int length) {
  int whole = step->length;
  for (int i = 0; i < step->length && i < length; i++)
    if ((octets[i] & step->mask[i]) != step->octets[i]) return -1;
  if (length >= whole && step->at >= 0) whole += octets[step->at] << 8 | octets[step->at + 1];
  return length < whole ? 0 : whole;
}

static int negotiate(Connection *c) {
  while (c->step < c->route->count) {
    const Step *step = &c->route->steps[c->step];
    if (step->kind == 's') {
      if (sendAll(c, step->octets, (size_t)step->length) < 0) return -1;
    } else if (step->kind == 'p') {
      c->said = true;
    } else {
      int length = answered(step, c->answer, c->held);
      if (length <= 0) return length;
      c->held -= length;
      memmove(c->answer, c->answer + length, (size_t)c->held);
    }
    c->step++;
  }
  int rest = c->held;
  if (ready(c) < 0) return -1;
  return rest && mode != DOWN && mode != UP ? echoed(c, (size_t)rest) : 0;
}

static int converse(Connection *c, uint32_t events) {
  if (!c->connected) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) return errno = error, -1;
    c->connected = true;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    return negotiate(c);
  }
  if (c->ready && mode == DOWN) return dropMuch(c);
  if (c->ready && mode == UP) return events & (EPOLLIN | EPOLLHUP) ? -1 : sendMuch(c);
  void *where = c->ready ? (void *)buffer : c->answer + c->held;
  size_t space = c->ready ? sizeof buffer : (size_t)(MOST_ANSWER - c->held);
  ssize_t length = recv(c->fd, where, space, MSG_DONTWAIT);
  if (length <= 0) return length < 0 && errno == EAGAIN ? 0 : -1;
  if (c->ready) return echoed(c, (size_t)length);
  c->held += (int)length;
  return negotiate(c);
}

static void clientEvent(Connection *c, uint32_t events) {
  errno = 0;
  if (converse(c, events) == 0) return;
  failed++;
  lastError = errno;
  if (mode == CONNECTIONS) {
    again(c);
  } else {
    close(c->fd);
    c->fd = -1;
  }
}

/* ---- All of them ---- */

static void turn(int milliseconds) {
  struct epoll_event events[EVENTS];
  int found = epoll_wait(poller, events, EVENTS, milliseconds);
  for (int i = 0; i < found; i++) {
    Connection *c = events[i].data.ptr;
    if (c->fd < 0) continue;
    if (c->kind == CLIENT)
      clientEvent(c, events[i].events);
    else
      targetEvent(c, events[i].events);
  }
  while (closed) {
    Connection *c = closed;
    closed = c->next;
    free(c);
  }
}

static void run(double seconds) {
  uint64_t until = now() + (uint64_t)(seconds * 1e9);
  while (now() < until) turn(1);
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(double share) {
  return latencyCount ? (double)latencies[(size_t)(share * (double)(latencyCount - 1))] : 0;
}

static double cpuSeconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void measure(double warmup, double seconds) {
  uint64_t patience = now() + 10000000000ull;
  for (int i = 0; i < clientCount; i++) start(&clients[i]);
  while (mode != CONNECTIONS && standing + failed < (uint64_t)clientCount && now() < patience) turn(1);
  run(warmup);
  fprintf(stderr, "BEGIN\n");
  measuring = true;
  uint64_t began = now(), receivedBefore = received;
  double cpuBefore = cpuSeconds();
  run(seconds);
  measuring = false;
  ending = true;
  double elapsed = (double)(now() - began) / 1e9, cpu = cpuSeconds() - cpuBefore;
  fprintf(stderr, "END\n");
  qsort(latencies, latencyCount, sizeof *latencies, ascending);
  printf("{\"seconds\":%.4f,\"done\":%lu,\"octets\":%lu,\"failed\":%lu,\"error\":%d,"
         "\"median\":%.1f,\"slowest\":%.1f,\"cpu\":%.4f}\n",
         elapsed, done, received - receivedBefore,
         failed + (mode == CONNECTIONS ? 0 : (uint64_t)clientCount - standing), lastError,
         quantile(0.5), quantile(0.99), cpu);
}

static void stayIdle(double seconds) {
  uint64_t patience = now() + (uint64_t)(seconds * 1e9);
  for (int i = 0; done + failed < (uint64_t)clientCount && now() < patience; turn(1))
    while (i < clientCount && (uint64_t)i < done + failed + OPENING) start(&clients[i++]);
  printf("{\"done\":%lu,\"failed\":%lu,\"error\":%d}\n", done, failed, lastError);
  fflush(stdout);
  while (read(STDIN_FILENO, buffer, 1) > 0) continue;
}

int main(int argc, char **argv) {
  const char *names[] = {"down", "up", "connections", "echo", "idle"};
  double seconds = 1, warmup = 0.3;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  poller = epoll_create1(EPOLL_CLOEXEC);
  memset(buffer, 'x', sizeof buffer);
  sourceFile = memfd_create("source", MFD_CLOEXEC);
  for (int i = 0; i < SOURCE_LENGTH / BUFFER_LENGTH; i++)
    if (write(sourceFile, buffer, sizeof buffer) < 0) die("write");
  for (mode = DOWN; mode <= IDLE; mode++)
    if (argc > 1 && !strcmp(argv[1], names[mode])) break;
  if (mode > IDLE || argc % 2) {
    fprintf(stderr, "usage: see the head of load.c\n");
    return 2;
  }
  for (int i = 2; i < argc; i += 2) {
    char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--target")) addTarget(value);
    else if (!strcmp(name, "--route")) addRoute(value);
    else if (!strcmp(name, "--clients")) clientCount = atoi(value);
    else if (!strcmp(name, "--size")) messageLength = (size_t)atoi(value);
    else if (!strcmp(name, "--seconds")) seconds = atof(value);
    else if (!strcmp(name, "--warmup")) warmup = atof(value);
  }
  clients = calloc((size_t)clientCount, sizeof *clients);
  for (int i = 0; i < clientCount; i++) {
    clients[i].number = i;
    clients[i].answer = malloc(MOST_ANSWER);
  }
  if (mode == IDLE)
    stayIdle(seconds);
  else
    measure(warmup, seconds);
  return 0;
}
