/*
 * The number of a wait context's fd is another connection's at once: nothing may be written there when the
 * completion comes.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "host.h"

#define K 8
#define PAIRS 16

static int is_quiet(int fd)
{
    char byte;
    ssize_t n = read(fd, &byte, 1);

    return n == -1 && errno == EAGAIN;
}

int main(void)
{
    struct op ops[K];
    int numbers[K], fds[2 * PAIRS], reused = 0;

    op_alone(0);
    for (int i = 0; i < K; i++) {
        op_init(&ops[i], i);
        ops[i].wait = ASYNC_WAIT_CTX_new();
        CHECK(op_run(&ops[i]) == ASYNC_PAUSE);
        numbers[i] = only_fd(ops[i].wait);
    }
    for (int i = 0; i < K; i++) {
        op_free(&ops[i]);
        ASYNC_WAIT_CTX_free(ops[i].wait);
    }
    for (int i = 0; i < PAIRS; i++) {
        if (i % 2 == 0)
            CHECK(pipe2(&fds[2 * i], O_NONBLOCK) == 0);
        else
            CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, &fds[2 * i]) == 0);
    }
    for (int i = 0; i < K; i++)
        for (int j = 0; j < 2 * PAIRS; j++)
            reused += numbers[i] == fds[j];
    CHECK(reused == K);
    /* One that was started later on a device that takes as long for each: all the others have ended. */
    op_alone(100);
    op_alone(101);
    for (int i = 0; i < PAIRS; i++) {
        CHECK(is_quiet(fds[2 * i]));
        CHECK(i % 2 == 0 || is_quiet(fds[2 * i + 1]));
    }
    puts("done");
    return 0;
}
