/* Memory from the operating system: core/system.h. */
#include "core/system.h"
#include "harness.h"

static void memory_is_aligned_and_ours(void)
{
    unsigned char *each[8];
    size_t alignment, size, i;
    for (alignment = sizeof(void *); alignment <= 4096; alignment *= 2) {
        for (i = 0; i < 8; i++) {
            size = alignment * (i + 1) - i;
            each[i] = sm_allocate(size, alignment);
            CHECK(each[i] != NULL && (uintptr_t)each[i] % alignment == 0);
            memset(each[i], (int)i, size);
        }
        for (i = 0; i < 8; i++) {
            CHECK(each[i][0] == i && each[i][alignment * (i + 1) - i - 1] == i);
            sm_release(each[i]);
        }
    }
}

static size_t mapped_pages(void) /* 0: not known here */
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages;
}

static void tables_of_any_size_are_ours_from_end_to_end(void)
{
    static const size_t SIZES[] = {1, 64, 4096, 100000, SM_LARGE - 1, SM_LARGE, SM_LARGE + 1, 3 * SM_LARGE - 65535};
    unsigned char *each[2];
    size_t i, j, at;
    for (i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        for (j = 0; j < 2; j++) {
            each[j] = sm_allocate_table(SIZES[i]);
            CHECK(each[j] != NULL && (uintptr_t)each[j] % 64 == 0);
            CHECK(SIZES[i] < SM_LARGE || (uintptr_t)each[j] % SM_LARGE_ALIGNMENT == 0);
            for (at = 0; at < SIZES[i]; at += 4096)
                each[j][at] = (unsigned char)(j + 1);
            each[j][SIZES[i] - 1] = (unsigned char)(j + 1);
        }
        for (j = 0; j < 2; j++) {
            for (at = 0; at < SIZES[i]; at += 4096)
                CHECK_EQUAL(each[j][at], j + 1);
            CHECK_EQUAL(each[j][SIZES[i] - 1], j + 1);
            sm_release_table(each[j], SIZES[i]);
        }
    }
}

static void all_of_a_large_table_goes_back(void)
{
    const size_t size = 16 * SM_LARGE + 1;
    size_t before = mapped_pages(), i;
    for (i = 0; i < 200; i++) {
        unsigned char *table = sm_allocate_table(size);
        CHECK(table != NULL);
        table[size - 1] = table[0] = 1;
        sm_release_table(table, size);
    }
    CHECK(mapped_pages() <= before + size / 4096);
}

static void a_table_that_is_too_large_is_none(void)
{
    volatile size_t too_large = SIZE_MAX / 2;
    CHECK(sm_allocate_table(too_large) == NULL);
}

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"memory is aligned and ours", memory_is_aligned_and_ours},
        {"tables of any size are ours from end to end", tables_of_any_size_are_ours_from_end_to_end},
        {"all of a large table goes back", all_of_a_large_table_goes_back},
        {"a table that is too large is none", a_table_that_is_too_large_is_none},
    };
    return RUN_TESTS("memory", TESTS, argc, argv);
}
