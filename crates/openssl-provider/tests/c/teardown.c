/*
 * A host hangs up: it frees all that an operation uses while its job is paused and never resumes the job, as a
 * server does that frees a connection. Then the completions come.
 *
 * What it is built of: all the operations go, none is resumed; a second batch in the same memory is served while
 * the first is on the device.
 */
#include "host.h"

#define K 16

static struct op ops[K];

static void start_all(int first)
{
    for (int i = 0; i < K; i++) {
        op_init(&ops[i], first + i);
        ops[i].wait = ASYNC_WAIT_CTX_new();
        CHECK(ops[i].wait != NULL);
        CHECK(op_run(&ops[i]) == ASYNC_PAUSE);
    }
}

static void hang_up(void)
{
    for (int i = 0; i < K; i++) {
        memset(ops[i].in, 0xEE, LEN);
        memset(ops[i].out, 0xEE, EVP_MAX_MD_SIZE);
        op_free(&ops[i]);
        ASYNC_WAIT_CTX_free(ops[i].wait);
    }
}

int main(void)
{
    int before;

    op_alone(0); /* opens the device */
    before = open_fds();
    for (int round = 0; round < 2; round++) {
        start_all(10 * round);
        CHECK(open_fds() == before + K);
        hang_up();
        CHECK(open_fds() == before);
        /* The memory and the descriptors are somebody else's at once. */
        start_all(100);
        for (int i = 0; i < K; i++) {
            while (ops[i].status == ASYNC_PAUSE) {
                wait_readable(only_fd(ops[i].wait));
                op_run(&ops[i]);
            }
            CHECK(ops[i].status == ASYNC_FINISH && op_is_right(&ops[i]));
            op_free(&ops[i]);
            ASYNC_WAIT_CTX_free(ops[i].wait);
        }
    }
    CHECK(open_fds() == before);
    puts("done");
    return 0;
}
