/*
 * A program whose first use of libcrypto's algorithms is in a job, which so loads the provider, on that job's small
 * stack. With "random", a job of a library context of its own asks for random numbers, many at a time.
 */
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "host.h"

static int first(void *arg)
{
    unsigned char in[LEN], out[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    (void)arg;
    fill(in, 0);
    return EVP_Digest(in, LEN, out, &len, EVP_sha256(), NULL);
}

static unsigned char numbers[65536];

static int random_numbers(void *arg)
{
    OSSL_LIB_CTX *library = *(OSSL_LIB_CTX **)arg;

    for (int i = 0; i < 4; i++) {
        if (RAND_bytes_ex(library, numbers, sizeof(numbers), 0) != 1
            || RAND_priv_bytes_ex(library, numbers, sizeof(numbers), 0) != 1)
            return 0;
    }
    return 1;
}

/* How often it has paused. */
static int run(int (*function)(void *), OSSL_LIB_CTX *library)
{
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int ret = 0, status, pauses = 0;

    CHECK(wait != NULL);
    while ((status = ASYNC_start_job(&job, wait, &ret, function, &library, sizeof(library))) == ASYNC_PAUSE) {
        wait_readable(only_fd(wait));
        pauses++;
    }
    CHECK(status == ASYNC_FINISH && ret == 1);
    ASYNC_WAIT_CTX_free(wait);
    return pauses;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "random") == 0) {
        OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
        EVP_CIPHER *cipher;

        CHECK(library != NULL && OSSL_LIB_CTX_load_config(library, getenv("OPENSSL_CONF")) == 1);
        cipher = EVP_CIPHER_fetch(library, "AES-256-CTR", NULL);
        CHECK(cipher != NULL);
        CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher)), "simaccel") == 0);
        EVP_CIPHER_free(cipher);
        CHECK(run(random_numbers, library) == 0);
        CHECK(run(random_numbers, NULL) == 0);
        OSSL_LIB_CTX_free(library);
    } else {
        CHECK(run(first, NULL) == 1);
    }
    puts("done");
    return 0;
}
