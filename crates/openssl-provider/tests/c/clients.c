/*
 * Clients of a TLS server on 127.0.0.1, so many at the same time, for so many seconds. What they do, each as often as
 * there is time:
 *
 *   ask    a full handshake, a request, and the whole answer, which must be the right one
 *   shake  a full handshake
 *   close  a ClientHello, a moment, and the connection is closed
 *   reset  the same, with a reset
 *
 * It prints how often that went well, and how often not. OpenSSL's functions are declared here, since its headers need
 * not be installed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_method_st SSL_METHOD;

const SSL_METHOD *TLS_client_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
void SSL_CTX_free(SSL_CTX *ctx);
long SSL_CTX_ctrl(SSL_CTX *ctx, int what, long value, void *pointer);
void SSL_CTX_set_verify(SSL_CTX *ctx, int mode, void *callback);
int SSL_CTX_load_verify_locations(SSL_CTX *ctx, const char *file, const char *directory);
SSL *SSL_new(SSL_CTX *ctx);
void SSL_free(SSL *ssl);
int SSL_set_fd(SSL *ssl, int fd);
int SSL_connect(SSL *ssl);
int SSL_shutdown(SSL *ssl);
int SSL_read(SSL *ssl, void *buffer, int len);
int SSL_write(SSL *ssl, const void *buffer, int len);
void ERR_clear_error(void);

#define SSL_CTRL_SET_MIN_PROTO_VERSION 123
#define SSL_CTRL_SET_MAX_PROTO_VERSION 124
#define SSL_VERIFY_PEER 1
#define TLS1_2_VERSION 0x0303
#define TLS1_3_VERSION 0x0304

static struct sockaddr_in server;
static SSL_CTX *contexts[2]; /* TLS 1.2 and 1.3 */
static int first_version, last_version;
static const char *mode, *right_answer;
static double end;
static atomic_ulong good, bad, turn;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Only a server that hangs is slower. */
    struct timeval limit = { 60, 0 };

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&server, sizeof(server)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A request on a connection whose handshake is done. */
static int ask(SSL *ssl)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    char answer[4096];
    int len = 0, n;

    if (SSL_write(ssl, request, sizeof(request) - 1) != (int)sizeof(request) - 1)
        return 0;
    while (len < (int)sizeof(answer) - 1
           && (n = SSL_read(ssl, answer + len, (int)sizeof(answer) - 1 - len)) > 0)
        len += n;
    answer[len] = 0;
    return strncmp(answer, "HTTP/1.", 7) == 0 && strstr(answer, right_answer) != NULL;
}

static int client(SSL_CTX *ctx)
{
    SSL *ssl;
    int fd, well;

    if ((fd = dial()) < 0)
        return 0;
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (mode[0] == 'c' || mode[0] == 'r') {
        struct linger reset = { 1, 0 };

        fcntl(fd, F_SETFL, O_NONBLOCK);
        SSL_connect(ssl);
        /* The moment: the server is to have read it, and not to have answered. */
        poll(NULL, 0, 10);
        if (mode[0] == 'r')
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        well = 1;
    } else {
        well = SSL_connect(ssl) == 1 && (mode[0] == 's' || ask(ssl));
        if (well)
            SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
    return well;
}

static void *clients(void *unused)
{
    while (now() < end) {
        unsigned long n = atomic_fetch_add(&turn, 1);
        int version = n % 2 ? first_version : last_version;

        if (client(contexts[version]))
            atomic_fetch_add(&good, 1);
        else
            atomic_fetch_add(&bad, 1);
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[256];
    int n, at_once;

    if (argc != 8) {
        fprintf(stderr, "clients PORT CA 1.2|1.3|both ask|shake|close|reset AT_ONCE SECONDS ANSWER\n");
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((unsigned short)atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    first_version = strcmp(argv[3], "1.3") == 0;
    last_version = strcmp(argv[3], "1.2") != 0;
    mode = argv[4];
    at_once = atoi(argv[5]);
    right_answer = argv[7];
    if (at_once < 1 || at_once > 256)
        return 2;
    for (n = 0; n < 2; n++) {
        long version = n == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

        contexts[n] = SSL_CTX_new(TLS_client_method());
        if (contexts[n] == NULL
            || !SSL_CTX_ctrl(contexts[n], SSL_CTRL_SET_MIN_PROTO_VERSION, version, NULL)
            || !SSL_CTX_ctrl(contexts[n], SSL_CTRL_SET_MAX_PROTO_VERSION, version, NULL)
            || !SSL_CTX_load_verify_locations(contexts[n], argv[2], NULL)) {
            fprintf(stderr, "no context for TLS\n");
            return 2;
        }
        SSL_CTX_set_verify(contexts[n], SSL_VERIFY_PEER, NULL);
    }
    end = now() + atof(argv[6]);
    for (n = 0; n < at_once; n++)
        if (pthread_create(&threads[n], NULL, clients, NULL) != 0)
            return 2;
    for (n = 0; n < at_once; n++)
        pthread_join(threads[n], NULL);
    for (n = 0; n < 2; n++)
        SSL_CTX_free(contexts[n]);
    printf("good=%lu bad=%lu\n", good, bad);
    return 0;
}
