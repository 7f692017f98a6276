/*
 * A signal tells the counts, as often as it comes, whatever else the program does with it: the handler that was there
 * before is called too, a forked process is told for itself, and one that has no device tells nothing.
 */
#include <signal.h>
#include <sys/wait.h>

#include "host.h"

static volatile sig_atomic_t seen;

static void handler(int signal)
{
    (void)signal;
    seen++;
}

/* Lines that were told. */
static int lines(const char *path)
{
    FILE *file = fopen(path, "r");
    int c, n = 0;

    if (file == NULL)
        return 0;
    while ((c = fgetc(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

static void ask(const char *path, int expected)
{
    CHECK(raise(SIGUSR2) == 0);
    while (lines(path) < expected)
        usleep(1000);
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = handler };
    sigset_t blocked;
    pid_t child;
    int status;

    CHECK(argc == 2);
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    op_alone(0);
    ask(argv[1], 1);
    CHECK(seen == 1);
    op_alone(1);
    ask(argv[1], 2);
    ask(argv[1], 3);
    CHECK(seen == 3);

    CHECK((child = fork()) != -1);
    if (child == 0) {
        /* No device: nothing is told, by the parent neither. */
        CHECK(raise(SIGUSR2) == 0);
        CHECK(seen == 4);
        usleep(100000);
        CHECK(lines(argv[1]) == 3);
        /* One of its own. */
        op_alone(2);
        ask(argv[1], 4);
        CHECK(seen == 5);
        exit(0); /* and the end: line 5 */
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(seen == 3);
    CHECK(lines(argv[1]) == 5);

    /* None of the provider's threads takes the program's signals. */
    CHECK(sigemptyset(&blocked) == 0 && sigaddset(&blocked, SIGUSR1) == 0);
    CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    op_alone(3);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    usleep(100000);
    CHECK(sigpending(&blocked) == 0 && sigismember(&blocked, SIGUSR1));
    puts("done");
    fflush(stdout);
    return 0;
}
