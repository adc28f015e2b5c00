/* SPDX-License-Identifier: GPL-2.0-or-later */
/* steps_udev SEED SECONDS - as steps, in a guest whose udevd makes the links and looks at each change. */
#include "steps.c"
