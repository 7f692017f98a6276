/* A job that is cancelled while its operation is on the device: an error of OpenSSL's, and the next one works. */
#include <dlfcn.h>

#include "host.h"

int main(void)
{
    int (*cancel)(ASYNC_JOB **, int *) =
        (int (*)(ASYNC_JOB **, int *))dlsym(RTLD_DEFAULT, "async_capi_cancel_job");
    struct op op;

    CHECK(cancel != NULL);
    op_alone(0);
    op_init(&op, 1);
    op.wait = ASYNC_WAIT_CTX_new();
    op.ret = 7;
    CHECK(op_run(&op) == ASYNC_PAUSE);
    CHECK(cancel(&op.job, &op.ret) == ASYNC_FINISH);
    CHECK(op.ret == 0);
    CHECK(ERR_peek_error() != 0);
    ERR_print_errors_fp(stdout);
    /* A part of the digest's data is lost. */
    CHECK(EVP_DigestFinal_ex(op.md, op.out, &op.out_len) == 0);
    ERR_clear_error();
    /* The same wait context, and the same digest's context from its beginning. */
    op_once(op.wait, 2);
    CHECK(EVP_DigestInit_ex(op.md, EVP_sha256(), NULL) == 1);
    while (op_run(&op) == ASYNC_PAUSE)
        wait_readable(only_fd(op.wait));
    CHECK(op_is_right(&op));
    op_free(&op);
    ASYNC_WAIT_CTX_free(op.wait);
    puts("done");
    return 0;
}
