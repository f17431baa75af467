/* The JNI library of ONNX Runtime's Java API looks for an engine of its own release. This stands in that place and hands
   it the one of the Python package, which keeps every earlier API: all is reached by OrtGetApiBase. Tests only. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

const void *OrtGetApiBase(void) {
    static const void *(*base)(void);
    if (!base) {
        const char *path = getenv("EDGEFORMER_ORT_LIBRARY");
        void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (library) *(void **)&base = dlsym(library, "OrtGetApiBase");
        if (!base) {
            fprintf(stderr, "EDGEFORMER_ORT_LIBRARY %s: %s\n", path ? path : "isn't set", path ? dlerror() : "");
            return NULL;
        }
    }
    return base();
}

/* The JNI library names it; nothing here calls it. */
void *OrtSessionOptionsAppendExecutionProvider_CPU(void *options, int arena) {
    (void)options;
    (void)arena;
    return NULL;
}
