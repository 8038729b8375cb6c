/* Calls that must fail. What exactly is found to be wrong differs between libraries, so only ours is
   asked. */
#ifndef FAILS_H
#define FAILS_H

#include "check.h"

#define FAILS(expected, call)                                                                      \
    do {                                                                                           \
        if (ours()) {                                                                              \
            int class_ = 0, code_ = (call);                                                        \
            OK(MPI_Error_class(code_, &class_));                                                   \
            if (class_ != (expected))                                                              \
                fprintf(stderr, "%s:%d: %s gives class %d\n", __FILE__, __LINE__, #call, class_);  \
            CHECK(class_ == (expected));                                                           \
        }                                                                                          \
    } while (0)

/* The same, and what the sentence must contain. */
#define FAILS_WITH(expected, words, call)                                                          \
    do {                                                                                           \
        if (ours()) {                                                                              \
            char text_[MPI_MAX_ERROR_STRING];                                                      \
            int class_ = 0, len_ = 0, code_ = (call);                                              \
            OK(MPI_Error_class(code_, &class_));                                                   \
            OK(MPI_Error_string(code_, text_, &len_));                                             \
            if (class_ != (expected) || !strstr(text_, words))                                     \
                fprintf(stderr, "%s:%d: %s gives: %s\n", __FILE__, __LINE__, #call, text_);        \
            CHECK(class_ == (expected) && strstr(text_, words));                                   \
        }                                                                                          \
    } while (0)

#endif
