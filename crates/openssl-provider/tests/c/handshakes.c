/*
 * TLS servers in one process with their clients, over pairs of memory BIOs. Each server signs in a job.
 *
 *   handshakes CERTIFICATE KEY VERSION HOW COUNT
 *
 * HOW is "data": as "finish", with much data both ways and both sides in jobs; "finish": every handshake is completed, and some data goes both ways; "free": every server is freed in
 * the middle, with its job paused and its operation on the device; "both": each second one is.
 * Prints "finished=N freed=N pauses=N".
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define FAIL(...) (fprintf(stderr, __VA_ARGS__), ERR_print_errors_fp(stderr), exit(1))

struct connection {
    SSL *server, *client;
    int waits, freed, done;
};

static unsigned long finished, freed, pauses;
static int with_data;

static SSL_CTX *context(const SSL_METHOD *method, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL || !SSL_CTX_set_min_proto_version(ctx, version) || !SSL_CTX_set_max_proto_version(ctx, version))
        FAIL("no context\n");
    return ctx;
}

static void begin(struct connection *it, SSL_CTX *for_server, SSL_CTX *for_client)
{
    BIO *server_side, *client_side;
    memset(it, 0, sizeof *it);
    it->server = SSL_new(for_server);
    it->client = SSL_new(for_client);
    if (it->server == NULL || it->client == NULL || !BIO_new_bio_pair(&server_side, 0, &client_side, 0))
        FAIL("no connection\n");
    SSL_set_bio(it->server, server_side, server_side);
    SSL_set_bio(it->client, client_side, client_side);
    SSL_set_accept_state(it->server);
    SSL_set_connect_state(it->client);
    SSL_set_mode(it->server, SSL_MODE_ASYNC);
}

/* Waits until the device has told the connection's job, as a host must. */
static int ready(SSL *ssl)
{
    OSSL_ASYNC_FD fd;
    size_t count = 0;
    struct pollfd poll_fd;
    if (!SSL_get_all_async_fds(ssl, NULL, &count) || count != 1)
        FAIL("%zu fds of a paused job\n", count);
    if (!SSL_get_all_async_fds(ssl, &fd, &count))
        FAIL("no fds\n");
    poll_fd.fd = fd;
    poll_fd.events = POLLIN;
    return poll(&poll_fd, 1, 0) == 1;
}

/* One step of one side. Says whether it is done. */
static int step(SSL *ssl, const char *who)
{
    int result = SSL_do_handshake(ssl);
    if (result == 1)
        return 1;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_WANT_ASYNC:
        pauses++;
        return -1;
    default:
        FAIL("the %s's handshake failed\n", who);
    }
}

/* One way of a transfer: the bytes are known by their place. A call that pauses is made again, the same. */
struct flow {
    unsigned char buffer[40000];
    size_t place, end;
    int paused;
};

static unsigned char at(size_t place)
{
    return (unsigned char)(place * 31 + place / 251);
}

/* Writes or reads what it can. Says whether the call is in a job that has paused: no other may be made of this side. */
static int flows(SSL *ssl, struct flow *it, int writes)
{
    size_t len = it->end - it->place, done = 0, i;
    int result;
    if (it->paused && !ready(ssl))
        return 1;
    it->paused = 0;
    if (len == 0)
        return 0;
    if (len > sizeof it->buffer)
        len = sizeof it->buffer;
    if (writes) {
        for (i = 0; i < len; i++)
            it->buffer[i] = at(it->place + i);
        result = SSL_write_ex(ssl, it->buffer, len, &done);
    } else
        result = SSL_read_ex(ssl, it->buffer, len, &done);
    if (result != 1)
        switch (SSL_get_error(ssl, result)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return 0;
        case SSL_ERROR_WANT_ASYNC:
            pauses++;
            it->paused = 1;
            return 1;
        default:
            FAIL("the transfer failed\n");
        }
    if (!writes)
        for (i = 0; i < done; i++)
            if (it->buffer[i] != at(it->place + i))
                FAIL("byte %zu is wrong\n", it->place + i);
    it->place += done;
    return 0;
}

static void transfer(struct connection *it)
{
    struct flow *all = calloc(4, sizeof *all), *of[2] = { all, all + 2 };
    SSL *sides[2] = { it->server, it->client };
    int side, way, left = 4;
    for (side = 0; side < 4; side++)
        all[side].end = 2000000;
    SSL_set_mode(it->client, SSL_MODE_ASYNC);
    while (left > 0)
        for (left = 0, side = 0; side < 2; side++)
            for (way = 0; way < 2; way++) {
                /* While one way's job is paused, the other way waits. */
                if (of[side][!way].paused)
                    continue;
                flows(sides[side], &of[side][way], way);
                left += of[side][way].place < of[side][way].end || of[side][way].paused;
            }
    for (side = 0; side < 4; side++)
        if (all[side].place != all[side].end)
            FAIL("it ended early\n");
    free(all);
}

static void finish(struct connection *it)
{
    char text[5] = "";
    if (with_data)
        transfer(it);
    else {
        if (SSL_write(it->client, "ping", 4) != 4 || SSL_read(it->server, text, 4) != 4 || strcmp(text, "ping"))
            FAIL("the server reads something else\n");
        if (SSL_write(it->server, "pong", 4) != 4 || SSL_read(it->client, text, 4) != 4 || strcmp(text, "pong"))
            FAIL("the client reads something else\n");
    }
    it->done = 1;
    finished++;
}

static void go_on(struct connection *it, int to_be_freed)
{
    int client, server;
    if (it->waits) {
        if (!ready(it->server))
            return;
        it->waits = 0;
    }
    client = step(it->client, "client");
    server = step(it->server, "server");
    if (server < 0) {
        if (to_be_freed) {
            SSL_free(it->server);
            it->server = NULL;
            it->done = 1;
            freed++;
        } else
            it->waits = 1;
    } else if (client == 1 && server == 1)
        finish(it);
}

int main(int argc, char **argv)
{
    int count, left, i, version, free_some, finish_some;
    struct connection *all;
    SSL_CTX *for_server, *for_client;
    if (argc != 6)
        FAIL("CERTIFICATE KEY VERSION HOW COUNT\n");
    version = strcmp(argv[3], "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION;
    with_data = strcmp(argv[4], "data") == 0;
    free_some = strcmp(argv[4], "finish") != 0 && !with_data;
    finish_some = strcmp(argv[4], "free") != 0;
    count = atoi(argv[5]);
    for_server = context(TLS_server_method(), version);
    for_client = context(TLS_client_method(), version);
    if (SSL_CTX_use_certificate_chain_file(for_server, argv[1]) != 1
        || SSL_CTX_use_PrivateKey_file(for_server, argv[2], SSL_FILETYPE_PEM) != 1
        || SSL_CTX_load_verify_locations(for_client, argv[1], NULL) != 1)
        FAIL("no certificate or key\n");
    SSL_CTX_set_verify(for_client, SSL_VERIFY_PEER, NULL);
    all = calloc(count, sizeof *all);
    for (i = 0; i < count; i++)
        begin(&all[i], for_server, for_client);
    do {
        left = 0;
        for (i = 0; i < count; i++)
            if (!all[i].done) {
                go_on(&all[i], free_some && (!finish_some || i % 2));
                left++;
            }
    } while (left);
    for (i = 0; i < count; i++) {
        SSL_free(all[i].server);
        SSL_free(all[i].client);
    }
    free(all);
    /* More, after the buffers of those were freed, so that the device's answers come meanwhile. */
    if (free_some) {
        struct connection last;
        begin(&last, for_server, for_client);
        while (!last.done)
            go_on(&last, 0);
        SSL_free(last.server);
        SSL_free(last.client);
    }
    SSL_CTX_free(for_server);
    SSL_CTX_free(for_client);
    printf("finished=%lu freed=%lu pauses=%lu\n", finished, freed, pauses);
    return 0;
}
