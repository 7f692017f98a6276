/*
 * The end, with operations on the device. The first argument says how it comes:
 * "unload": OSSL_PROVIDER_unload, and the provider is loaded and used again;
 * "context": its library context is freed, and another one loads it again;
 * "cleanup", "exit", "return": the program ends, with jobs paused, and with a thread that waits on the spot if the
 * second argument is "thread".
 */
#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/provider.h>

#include "host.h"

#define K 8

static struct op ops[K];

static void start_all(void)
{
    for (int i = 0; i < K; i++) {
        op_init(&ops[i], i);
        ops[i].wait = ASYNC_WAIT_CTX_new();
        CHECK(op_run(&ops[i]) == ASYNC_PAUSE);
    }
}

static void *hash_in_thread(void *arg)
{
    struct op *op = arg;

    /* It ends well, or with an error, or not at all, as the program has ended: but not with a crash. */
    (void)EVP_DigestUpdate(op->md, op->in, LEN);
    return NULL;
}

/* Computed by another provider's digest, in a context that holds on to nothing of ours. */
static void context(void)
{
    for (int round = 0; round < 3; round++) {
        OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
        ASYNC_WAIT_CTX *waits[K];
        int before = open_fds();

        CHECK(library != NULL && OSSL_LIB_CTX_load_config(library, getenv("OPENSSL_CONF")) == 1);
        for (int i = 0; i < K; i++) {
            EVP_MD *md = EVP_MD_fetch(library, "SHA256", "provider=simaccel");

            CHECK(md != NULL);
            op_init(&ops[i], i);
            CHECK(EVP_DigestInit_ex(ops[i].md, md, NULL) == 1);
            EVP_MD_free(md);
            waits[i] = ops[i].wait = ASYNC_WAIT_CTX_new();
            CHECK(op_run(&ops[i]) == ASYNC_PAUSE);
        }
        for (int i = 0; i < K; i++)
            op_free(&ops[i]);
        OSSL_LIB_CTX_free(library);
        for (int i = 0; i < K; i++)
            ASYNC_WAIT_CTX_free(waits[i]);
        CHECK(open_fds() == before);
    }
}

/* Its configuration loads nothing by itself. */
static void unload(void)
{
    for (int round = 0; round < 3; round++) {
        OSSL_PROVIDER *simaccel = OSSL_PROVIDER_load(NULL, "simaccel");
        OSSL_PROVIDER *base = OSSL_PROVIDER_load(NULL, "default");
        int before;

        CHECK(simaccel != NULL && base != NULL);
        op_alone(0);
        before = open_fds();
        start_all();
        CHECK(OSSL_PROVIDER_unload(simaccel) == 1);
        if (round == 1) {
            /* They end, right or not, whenever that is. */
            for (int i = 0; i < K; i++) {
                while (op_run(&ops[i]) == ASYNC_PAUSE)
                    wait_readable(only_fd(ops[i].wait));
                CHECK(ops[i].status == ASYNC_FINISH && op_is_right(&ops[i]));
            }
        }
        for (int i = 0; i < K; i++) {
            op_free(&ops[i]);
            ASYNC_WAIT_CTX_free(ops[i].wait);
        }
        CHECK(open_fds() == before);
        CHECK(OSSL_PROVIDER_unload(base) == 1);
    }
}

int main(int argc, char **argv)
{
    pthread_t thread;

    CHECK(argc >= 2);
    if (strcmp(argv[1], "unload") == 0) {
        unload();
        puts("done");
        return 0;
    }
    if (strcmp(argv[1], "context") == 0) {
        context();
        puts("done");
        return 0;
    }
    start_all();
    if (argc > 2) {
        static struct op op;

        op_init(&op, 7);
        CHECK(pthread_create(&thread, NULL, hash_in_thread, &op) == 0);
        usleep(50000);
    }
    puts("done");
    fflush(stdout);
    if (strcmp(argv[1], "cleanup") == 0) {
        OPENSSL_cleanup();
        _exit(0);
    }
    if (strcmp(argv[1], "exit") == 0)
        exit(0);
    return 0;
}
