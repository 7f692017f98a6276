/*
 * So many operations, 8 at a time, on a device that may fail: each ends right, or with an error of the provider's in
 * the queue. Says how many have failed. A digest's context that has failed can be begun again.
 */
#include "host.h"

#define K 8

/* Starts or resumes it. Errors are the thread's, so they are looked at before another job runs. */
static void go_on(struct op *op)
{
    const char *text = NULL;
    int flags = 0;

    if (op_run(op) == ASYNC_FINISH && op->ret != 1) {
        CHECK(ERR_get_error_all(NULL, NULL, NULL, &text, &flags) != 0);
        CHECK((flags & ERR_TXT_STRING) != 0 && strncmp(text, "simaccel: ", 10) == 0);
    }
    CHECK(ERR_peek_error() == 0);
}

int main(int argc, char **argv)
{
    struct op ops[K] = { 0 };
    ASYNC_WAIT_CTX *waits[K];
    int fds[K], total, started = 0, running = 0, failed = 0, before;

    CHECK(argc == 2);
    total = atoi(argv[1]);
    before = open_fds();
    for (int i = 0; i < K; i++) {
        waits[i] = ASYNC_WAIT_CTX_new();
        fds[i] = -1;
    }
    do {
        struct pollfd watched[K];

        for (int i = 0; i < K; i++) {
            watched[i] = (struct pollfd) { .fd = -1, .events = POLLIN };
            if (ops[i].in == NULL) {
                if (started == total)
                    continue;
                op_init(&ops[i], started++);
                ops[i].wait = waits[i];
                running++;
                go_on(&ops[i]);
            }
            if (ops[i].status == ASYNC_PAUSE) {
                watched[i].fd = only_fd(waits[i]);
                CHECK(fds[i] == -1 || fds[i] == watched[i].fd);
                fds[i] = watched[i].fd;
                continue;
            }
            CHECK(ops[i].status == ASYNC_FINISH);
            if (ops[i].ret != 1) {
                failed++;
                CHECK(EVP_DigestFinal_ex(ops[i].md, ops[i].out, &ops[i].out_len) == 0);
                ERR_clear_error();
                CHECK(EVP_DigestInit_ex(ops[i].md, EVP_sha256(), NULL) == 1);
                CHECK(EVP_DigestUpdate(ops[i].md, "abc", 3) == 1);
                CHECK(EVP_DigestFinal_ex(ops[i].md, ops[i].out, &ops[i].out_len) == 1);
                CHECK(ops[i].out[0] == 0xBA && ops[i].out[31] == 0xAD);
            } else {
                CHECK(op_is_right(&ops[i]));
            }
            op_free(&ops[i]);
            running--;
        }
        if (running == 0 || (started < total && running < K))
            continue;
        CHECK(poll(watched, K, -1) > 0);
        for (int i = 0; i < K; i++)
            if (watched[i].revents != 0)
                go_on(&ops[i]);
    } while (running > 0 || started < total);
    for (int i = 0; i < K; i++)
        ASYNC_WAIT_CTX_free(waits[i]);
    CHECK(open_fds() == before);
    printf("%d of %d have failed\ndone\n", failed, total);
    return 0;
}
