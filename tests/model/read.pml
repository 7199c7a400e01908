/* Reading a key without the mutex, on a weakly ordered machine: core/readers.h, core/read_key.pyx, core/block.pyx,
 * core/deferred_free.pyx. spin.py says what is run; a MUTANT_... is the protocol without one of its parts.
 *
 * The machine. Whatever writers store under the mutex goes to one log, in program order. A reader has a floor: the
 * stores below it are visible to it. Of each variable it may read the newest store below the floor, or any later
 * one: as if stores waited in a buffer, were made visible in another order, or loads were executed early. To read a
 * release store by an acquire load raises the floor to that store; to read a plain store, or by a plain load,
 * orders nothing but later reads of the same variable. The readers' `seq` is read in the same way by who waits.
 * Full barriers are ordered among each other, and each makes known what the ones before it knew. (C11's release,
 * acquire and seq_cst fences, as the operational model of Kang and others has them, A promising semantics for
 * relaxed-memory concurrency, 2017; without promises, so a load that is overtaken by a later store is a mutant with
 * the two in the other order.)
 *
 * The map. One shard, one key: two blocks in turn, each with one slot of the key, behind which there is an empty
 * one, and ENTRIES entries. A writer does OPERATIONS operations: replaces the value, removes the entry, inserts it
 * again, has the block rebuilt. Objects have an address, at which another one is made once it is freed.
 *
 * What is asserted. Nothing freed is touched, and nothing that was not stored; what a read returns, the key had at
 * some time between its beginning and its end, and not before what another read that ended earlier has returned;
 * and a key is not said to be absent that has got its stamp before another one that was there already when the read
 * began. */

#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 2                         /* of each reader */
#endif
#ifndef OPERATIONS
#define OPERATIONS 3
#endif
#define ENTRIES 3
#define LOG 24

/* --- The log: from 1 on; 0 is what there was before --- */

#define PUBLISHED 0
#define VERSION 1                       /* of size_word; odd: something is being inserted or removed */
#define SLOT(b) (2 + (b))
#define KEY(b, e) (4 + (b) * ENTRIES + (e))
#define VALUE(b, e) (4 + (2 + (b)) * ENTRIES + (e))
#define VARIABLES (4 + 4 * ENTRIES)

#define EMPTY 0                         /* of a slot; others are an entry + FIRST */
#define TOMBSTONE 1
#define FIRST 2
#define NONE 0                          /* of a key or a value */
#define GARBAGE 255                     /* what memory holds where nothing was stored */

#define PLAIN 0
#define RELEASE 1
#define ACQUIRE 1

byte log_variable[LOG];
byte log_value[LOG];
bit log_release[LOG];
byte log_end = 0;
byte at_first[VARIABLES];
byte now[VARIABLES];                    /* what who has the mutex reads */

/* --- What threads know --- */

byte floor[READERS];                    /* of the log */
byte seq[READERS];                      /* the last that was stored; all before it are smaller by one each */
byte seen_seq[READERS];                 /* the last that the writer must know of */
byte barriers_know = 0;                 /* of the log */
byte barriers_know_seq[READERS];

/* --- Objects: values at the addresses 1 to 4, keys at 1 and 2 --- */

#define ADDRESSES 5
#define FOREIGN 99                      /* the content of an object that is no value of this key */

byte references[ADDRESSES];
byte content[ADDRESSES];                /* which state of the key the value belongs to */
byte given_up_at[ADDRESSES];            /* counts are changed by read-modify-writes that acquire and release */
bit is_foreign_made = 0;
bit key_is_freed[3];
bit block_is_freed[2];
byte retired = 0;
byte freed = 0;                         /* of these */
byte retired_block[OPERATIONS + 1];
byte retired_key[OPERATIONS + 1];
byte retired_at[OPERATIONS + 1];        /* in the log */

/* --- What is promised --- */

#define ABSENT 200
byte state[OPERATIONS + 1];             /* of the key after each operation: ABSENT, or what its value has as content */
byte begun = 0;                         /* operations */
byte done = 0;
byte done_at = 0;                       /* in the log */
byte returned = 0;                      /* the latest state that a read has returned */
byte returned_at = 0;                   /* the floor of that reader */
byte stamped = 0;                       /* the last insertion that has its stamp */

#define larger(a, b) ((a) > (b) -> (a) : (b))

mtype = { LOOK_AGAIN, FOUND, EMPTY_HERE, EMPTY_BEHIND, BEYOND_TOMBSTONE, GONE };

/* --- Readers --- */

#ifdef MUTANT_PLAIN_LOADS
#define LOAD PLAIN
#else
#define LOAD ACQUIRE
#endif

inline load(variable, into)
{
    atomic {
        at = log_end;
        do
        :: at == 0 -> break
        :: at > 0 && log_variable[at] != variable -> at--
        :: at > 0 && log_variable[at] == variable -> break
        :: at > floor[me] && at > last_loaded[variable] && log_variable[at] == variable -> at--     /* an older one */
        od;
        into = (at == 0 -> at_first[variable] : log_value[at]);
        if
        :: LOAD == ACQUIRE && at > floor[me] && log_release[at] -> floor[me] = at
        :: else -> skip
        fi;
        last_loaded[variable] = at;
        at = 0
    }
}

inline begin_read()
{
    d_step { at_least = own; stamped_before = 0 };
    if
    :: skip                             /* it has heard of nothing */
    :: d_step {                         /* an operation has ended */
        floor[me] = larger(floor[me], done_at);
        at_least = larger(at_least, done)
       }
    :: d_step {                         /* another thread's read has */
        floor[me] = larger(floor[me], returned_at);
        at_least = larger(at_least, returned)
       }
    :: d_step {                         /* another key has just got a stamp, after a full barrier */
        floor[me] = larger(floor[me], barriers_know);
        stamped_before = stamped
       }
    fi
}

/* That is the first state since the read began in which the key was so. */
inline end_read(result)
{
    d_step {
        if
        :: result == ABSENT -> at_least = larger(at_least, stamped_before)
        :: else -> skip
        fi;
        do
        :: at_least <= begun && state[at_least] != result -> at_least++
        :: else -> break
        od;
        assert(at_least <= begun);      /* there is one */
        own = at_least;
        if
        :: own > returned -> returned = own; returned_at = floor[me]
        :: own == returned -> returned_at = larger(returned_at, floor[me])
        :: else -> skip
        fi;
    }
}

inline set_flag()
{
    d_step {
        seq[me]++;
#if defined(FENCED) && !defined(MUTANT_NO_BARRIER)
        floor[me] = larger(floor[me], barriers_know);
        barriers_know = floor[me];
        barriers_know_seq[me] = seq[me];
#endif
    }
}

#define clear_flag() seq[me]++

inline try_incref(object)
{
    d_step {
        if
        :: references[object] != 0 ->
            references[object]++;
            floor[me] = larger(floor[me], given_up_at[object]);
            taken = object
        :: else -> skip
        fi
    }
}

inline give_back()
{
    d_step {
        if
        :: taken != NONE ->
            references[taken]--;
            given_up_at[taken] = larger(given_up_at[taken], floor[me]);
            taken = NONE
        :: else -> skip
        fi
    }
}

/* look_up() and reference_value(); in the slot behind the key's there never was anything. */
inline look_up()
{
    answer = LOOK_AGAIN;
    assert(!block_is_freed[block]);
    load(SLOT(block), slot);
    assert(slot != GARBAGE);
    if
    :: slot == EMPTY -> answer = EMPTY_HERE
    :: slot == TOMBSTONE -> answer = BEYOND_TOMBSTONE
    :: slot >= FIRST ->
        assert(!block_is_freed[block]);
        load(KEY(block, slot - FIRST), key);
        assert(key != GARBAGE);
        if
        :: key == NONE -> answer = EMPTY_BEHIND
        :: key != NONE ->
            assert(!key_is_freed[key] && !block_is_freed[block]);       /* it is compared */
            load(VALUE(block, slot - FIRST), value);
            assert(value != GARBAGE);
            if
            :: value == NONE -> answer = EMPTY_BEHIND
            :: value != NONE ->
                try_incref(value);
#ifdef MUTANT_FLAG_CLEARED_EARLY
                clear_flag();
#endif
#ifndef MUTANT_NO_SECOND_LOOK_AT_THE_VALUE
                assert(!block_is_freed[block]);
                load(VALUE(block, slot - FIRST), again);
#else
                again = value;
#endif
                if
                :: taken != NONE && again == value -> answer = FOUND
                :: else -> skip
                fi
            fi
        fi
    fi;
    d_step { slot = 0; key = 0; value = 0; again = 0 }
}

/* was_absent() */
inline confirm_empty()
{
    load(VERSION, version);
    if
    :: answer == EMPTY_HERE -> load(SLOT(block), slot)
    :: else -> skip                     /* the slot behind is empty always */
    fi;
    answer = (version % 2 == 0 && slot == EMPTY -> GONE : LOOK_AGAIN);
    d_step { slot = 0; version = 0 }
}

/* look_up_beyond() */
inline confirm_beyond()
{
    load(VERSION, version);
    if
    :: version % 2 == 1 -> answer = LOOK_AGAIN
    :: else ->
        look_up();
        if
        :: answer != FOUND && answer != LOOK_AGAIN ->
            load(VERSION, again);
            answer = (again == version -> GONE : LOOK_AGAIN)
        :: else -> skip
        fi
    fi;
    d_step { version = 0; again = 0 }
}

proctype reader(byte me)
{
    byte last_loaded[VARIABLES];        /* of each variable: where in the log */
    byte own = 0;                       /* the state that this thread read last */
    byte reads, at, block, slot, key, value, taken, again, version, at_least, stamped_before;
    mtype answer = LOOK_AGAIN;
    for (reads : 1 .. READS) {
        begin_read();
        set_flag();
        load(PUBLISHED, block);
        look_up();
        if
#ifdef MUTANT_NO_VERSION
        :: answer != FOUND && answer != LOOK_AGAIN -> answer = GONE
#else
        :: answer == EMPTY_HERE || answer == EMPTY_BEHIND -> confirm_empty()
        :: answer == BEYOND_TOMBSTONE -> confirm_beyond()
#endif
        :: else -> skip
        fi;
#ifndef MUTANT_NO_SECOND_LOOK_AT_THE_BLOCK
        load(PUBLISHED, again);
        if
        :: again != block -> answer = LOOK_AGAIN
        :: else -> skip
        fi;
#endif
        if
        :: seq[me] % 2 == 1 -> clear_flag()
        :: else -> skip                 /* a mutant */
        fi;
        if
        :: answer == FOUND -> end_read(content[taken])
        :: answer == GONE -> end_read(ABSENT)
        :: else -> skip                 /* it is looked up with the mutex */
        fi;
        give_back();
        d_step { block = 0; again = 0; answer = LOOK_AGAIN; at_least = 0; stamped_before = 0 }
    }
}

/* --- The writer: whoever has the mutex, one after another --- */

inline store(variable, what, order)
{
    d_step {
        log_end++;
        assert(log_end < LOG);
        log_variable[log_end] = variable;
        log_value[log_end] = what;
        log_release[log_end] = order;
        now[variable] = what
    }
}

inline make_object(address, what)
{
    d_step {
        address = 1;
        do
        :: references[address] != 0 -> address++
        :: else -> break
        od;
        assert(address < ADDRESSES);
        references[address] = 1;
        content[address] = what;
        given_up_at[address] = larger(given_up_at[address], log_end)
    }
}

/* Another thread may make an object where this one was. */
inline release_value(object)
{
    d_step { references[object]--; given_up_at[object] = log_end };
    if
    :: references[object] == 0 && !is_foreign_made ->
        d_step { references[object] = 1; content[object] = FOREIGN; is_foreign_made = 1 }
    :: skip
    fi
}

inline begin_operation(after)
{
    d_step { begun++; state[begun] = after }
}

inline end_operation()
{
    d_step { done = begun; done_at = log_end }
}

/* What was put out of reach is freed by whom the writer leaves it to: after the mutex, when others may have it. */
inline retire(block, key)
{
    d_step {
        retired_block[retired] = block;
        retired_key[retired] = key;
        retired_at[retired] = log_end;
        retired++
    }
}

/* Reads the seq of a reader: the last that must be seen, or a later one. */
inline look_at_flag()
{
    atomic {
        do
        :: seen_seq[r] < seq[r] -> seen_seq[r]++
        :: break
        od
    }
}

inline wait_for_readers()
{
    d_step {
        barriers_know = larger(barriers_know, retired_at[freed]);
        for (r : 0 .. READERS - 1) {
            seen_seq[r] = larger(seen_seq[r], barriers_know_seq[r]);
            barriers_know_seq[r] = seen_seq[r]
        }
    };
#if !defined(FENCED) && !defined(MUTANT_NO_BARRIER)
    for (r : 0 .. READERS - 1) {        /* membarrier(): a full barrier in each thread, one after the other */
        d_step { seen_seq[r] = seq[r]; floor[r] = larger(floor[r], barriers_know) }
    }
#endif
    for (r : 0 .. READERS - 1) {
        look_at_flag();
        if
        :: seen_seq[r] % 2 == 0 -> skip
        :: else ->
            first = seen_seq[r];
            do
            :: seen_seq[r] == first && seq[r] != first -> look_at_flag()
            :: seen_seq[r] != first -> break
            od;
            first = 0
        fi
    }
}

active proctype reclaimer()
{
    byte r, first;
end: do
    :: freed < retired ->
#ifndef MUTANT_NO_WAIT
        wait_for_readers();
#endif
        atomic {
            if
            :: retired_key[freed] != NONE -> key_is_freed[retired_key[freed]] = 1
            :: else -> block_is_freed[retired_block[freed]] = 1
            fi;
            r = 0;
            freed++
        }
    od
}

#ifdef MUTANT_PLAIN_SLOT
#define SLOT_ORDER PLAIN
#else
#define SLOT_ORDER RELEASE
#endif
#ifdef MUTANT_PLAIN_PUBLICATION
#define PUBLICATION_ORDER PLAIN
#else
#define PUBLICATION_ORDER RELEASE
#endif

/* `m[key] = value` of an entry that is there. */
inline overwrite()
{
    begin_operation(begun);
    make_object(object, begun);
    old = now[VALUE(mine, used - 1)];
    store(VALUE(mine, used - 1), object, RELEASE);
    end_operation();
    release_value(old)
}

/* delete_locked(), erase_entry(), retire_locked() */
inline remove()
{
    begin_operation(ABSENT);
    old = now[VALUE(mine, used - 1)];
    store(VERSION, now[VERSION] + 1, RELEASE);
    store(SLOT(mine), TOMBSTONE, RELEASE);
    store(KEY(mine, used - 1), NONE, RELEASE);
    store(VALUE(mine, used - 1), NONE, RELEASE);
    store(VERSION, now[VERSION] + 1, RELEASE);
    end_operation();
    retire(mine, key);
    release_value(old)
}

/* insert_locked(), announce_insertion_locked(), append() */
inline insert()
{
    begin_operation(begun);
    make_object(object, begun);
    d_step {
        key = (key_is_freed[1] -> 1 : 2);
        key_is_freed[key] = 0
    };
    store(VERSION, now[VERSION] + 1, RELEASE);
    d_step {
#ifndef MUTANT_NO_BARRIER_BEFORE_THE_STAMP
        barriers_know = log_end;
#endif
        stamped = begun
    };
#ifdef MUTANT_SLOT_FIRST
    store(SLOT(mine), used + FIRST, RELEASE);
#endif
    store(KEY(mine, used), key, RELEASE);
    store(VALUE(mine, used), object, RELEASE);
#ifndef MUTANT_SLOT_FIRST
    store(SLOT(mine), used + FIRST, SLOT_ORDER);
#endif
    store(VERSION, now[VERSION] + 1, RELEASE);
    used++;
    end_operation()
}

/* resize_locked(): the key stays as it is. */
inline rebuild()
{
    begin_operation(state[begun - 1]);
    d_step { old = mine; mine = 1 - mine; block_is_freed[mine] = 0 };
    if
    :: state[begun] == ABSENT ->
        store(SLOT(mine), EMPTY, PLAIN);
        used = 0
    :: else ->
        store(SLOT(mine), FIRST, PLAIN);
        store(KEY(mine, 0), now[KEY(old, used - 1)], PLAIN);
        store(VALUE(mine, 0), now[VALUE(old, used - 1)], PLAIN);
        used = 1
    fi;
    store(PUBLISHED, mine, PUBLICATION_ORDER);
    end_operation();
    retire(old, NONE)
}

proctype writer()
{
    byte mine = 0, used = 0, key = 1, object, old, operations;
    if
    :: state[0] != ABSENT -> used = 1
    :: else -> skip
    fi;
    for (operations : 1 .. OPERATIONS) {
        if
        :: state[begun] != ABSENT -> overwrite()
        :: state[begun] != ABSENT -> remove()
        :: state[begun] == ABSENT && (key_is_freed[1] || key_is_freed[2]) -> insert()
        :: block_is_freed[1 - mine] -> rebuild()
        fi;
        d_step { object = 0; old = 0 }
    }
}

init {
    byte i;
    d_step {
        for (i : 0 .. VARIABLES - 1) {
            at_first[i] = (i >= 2 -> GARBAGE : 0)
        };
        at_first[SLOT(0)] = EMPTY;
        block_is_freed[1] = 1;
        key_is_freed[1] = 1;
        key_is_freed[2] = 1
    };
    if
    :: state[0] = ABSENT
    :: d_step {
        at_first[SLOT(0)] = FIRST;
        at_first[KEY(0, 0)] = 1;
        at_first[VALUE(0, 0)] = 1;
        references[1] = 1;
        key_is_freed[1] = 0
       }
    fi;
    d_step {
        for (i : 0 .. VARIABLES - 1) {
            now[i] = at_first[i]
        };
        i = 0
    };
    atomic {
        for (i : 0 .. READERS - 1) {
            run reader(i)
        };
        run writer()
    }
}
