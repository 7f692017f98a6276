/*
 * No descriptor is left for a job's wake fd: the operation waits on the spot. "all": there is none from the start;
 * "later": there are none for a while, and there are again.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "host.h"

static int full[4096], n;

static void use_them_up(void)
{
    for (n = 0; n < 4096; n++)
        if ((full[n] = open("/dev/null", O_RDONLY)) == -1)
            break;
    CHECK(n < 4096 && errno == EMFILE);
}

static void give_back(void)
{
    while (n > 0)
        close(full[--n]);
}

/* The job ends without a pause. */
static void on_the_spot(int number)
{
    struct op op;
    size_t fds = 99;

    op_init(&op, number);
    op.wait = ASYNC_WAIT_CTX_new();
    CHECK(op_run(&op) == ASYNC_FINISH);
    CHECK(op_is_right(&op));
    CHECK(ASYNC_WAIT_CTX_get_all_fds(op.wait, NULL, &fds) == 1 && fds == 0);
    op_free(&op);
    ASYNC_WAIT_CTX_free(op.wait);
}

int main(int argc, char **argv)
{
    struct rlimit limit = { 64, 64 };
    struct op op;
    int later = argc > 1 && strcmp(argv[1], "later") == 0;

    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (later)
        op_alone(0);
    /* The configuration is read. */
    op_init(&op, 1);
    op_free(&op);
    use_them_up();
    for (int i = 0; i < 5; i++)
        on_the_spot(i);
    op_without_job(6);
    give_back();
    for (int i = 0; i < 5; i++)
        op_alone(i);
    puts("done");
    return 0;
}
