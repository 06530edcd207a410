/* A library whose destructor calls whoever asked for it: after the exit handlers of the program. */
void (*late)(void);

__attribute__((destructor)) static void call_late(void) {
    if (late != (void *)0) {
        late();
    }
}
