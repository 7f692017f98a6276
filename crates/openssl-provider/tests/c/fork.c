/*
 * Forks after the device has been used: a child has its own. One uses a wait context that its parent has made, and
 * one resumes a job whose operation is on its parent's device.
 */
#include <sys/wait.h>

#include "host.h"

static void ends_well(pid_t child)
{
    int status = 0;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new(), *unused = ASYNC_WAIT_CTX_new();
    struct op op;
    int before, fd;
    pid_t child;

    op_once(wait, 1);
    op_once(unused, 1);
    fd = only_fd(wait);
    before = open_fds();

    /* Its own device, in a new wait context. */
    CHECK((child = fork()) != -1);
    if (child == 0) {
        for (int i = 0; i < 10; i++)
            op_alone(i);
        op_without_job(3);
        CHECK(open_fds() == before);
        exit(0);
    }
    ends_well(child);

    /* In the parent's wait context, while the parent goes on in it. */
    CHECK((child = fork()) != -1);
    if (child == 0) {
        for (int i = 0; i < 10; i++)
            op_once(wait, i);
        ASYNC_WAIT_CTX_free(unused);
        ASYNC_WAIT_CTX_free(wait);
        CHECK(open_fds() == before - 2);
        exit(0);
    }
    for (int i = 0; i < 10; i++)
        op_once(wait, 100 + i);
    CHECK(only_fd(wait) == fd);
    ends_well(child);

    /* A job that was paused before: its answer is another process's. */
    op_init(&op, 5);
    op.wait = wait;
    CHECK(op_run(&op) == ASYNC_PAUSE);
    CHECK((child = fork()) != -1);
    if (child == 0) {
        while (op_run(&op) == ASYNC_PAUSE)
            usleep(1000);
        CHECK(op.status == ASYNC_FINISH && op.ret == 0);
        CHECK(ERR_peek_error() != 0);
        ERR_clear_error();
        op_free(&op);
        op_once(wait, 6);
        ASYNC_WAIT_CTX_free(wait);
        exit(0);
    }
    ends_well(child);
    while (op_run(&op) == ASYNC_PAUSE)
        wait_readable(only_fd(wait));
    CHECK(op.status == ASYNC_FINISH && op_is_right(&op));
    op_free(&op);
    CHECK(only_fd(wait) == fd);
    ASYNC_WAIT_CTX_free(wait);
    ASYNC_WAIT_CTX_free(unused);
    CHECK(open_fds() == before - 2);

    /* One that does nothing ends without counts. */
    CHECK((child = fork()) != -1);
    if (child == 0)
        exit(0);
    ends_well(child);
    puts("done");
    return 0;
}
