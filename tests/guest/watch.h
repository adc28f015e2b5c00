/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * watch.h - a test that does not come back says where it waits
 */
#ifndef WATCH_H
#define WATCH_H

/**
 * watch_over_this() - after @seconds: every process's name, state and kernel stack, and this one is ended
 *
 * To the test's stderr, and into build/tests/log/stuck, where it is found when the guest had to be ended,
 * too. By a child that goes with this process. Before anything is open that a child must not keep.
 */
void watch_over_this(unsigned int seconds);

#endif
