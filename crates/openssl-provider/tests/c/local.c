/* libcrypto is this program's own affair: opened with RTLD_LOCAL, so that its names are nobody else's. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    void *library;
    int (*digest)(const void *, size_t, unsigned char *, unsigned int *, const void *, void *);
    const void *(*sha256)(void);
    static unsigned char data[100000], ours[64], again[64];
    unsigned int len = 0;

    if (argc != 2)
        return 2;
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || dlsym(RTLD_DEFAULT, "EVP_Digest") != NULL)
        return 3;
    digest = (int (*)(const void *, size_t, unsigned char *, unsigned int *, const void *, void *))dlsym(library, "EVP_Digest");
    sha256 = (const void *(*)(void))dlsym(library, "EVP_sha256");
    memset(data, 'a', sizeof(data));
    if (digest(data, sizeof(data), ours, &len, sha256(), NULL) != 1 || len != 32)
        return 4;
    if (digest(data, sizeof(data), again, &len, sha256(), NULL) != 1 || memcmp(ours, again, 32) != 0)
        return 5;
    for (int i = 0; i < 32; i++)
        printf("%02x", ours[i]);
    puts("");
    return 0;
}
