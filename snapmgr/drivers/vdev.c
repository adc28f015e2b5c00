/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices that people see, with their links: mapped, unmapped, renamed; whatever their table is. */
#include <string.h>

#include "snapmgr/drivers/driver.h"

int sm_vdev_map(struct sm_backend *b, const struct sm_vdev *v, const struct sdm_target *target,
		struct snapmgr_err *err)
{
	int r = b->cookie.made ? 0 : sdm_cookie_make(&b->cookie, err);

	if (r == 0)
		r = sdm_link_announce(&v->dm, err);
	if (r < 0)
		return r;
	r = sdm_create(&v->dm, target, 1, &b->cookie, err);
	if (r == 0) {
		r = sdm_link_settle(&v->dm, false, err);
		if (r == 0)
			return 0;
		(void)sdm_remove(&v->dm, &b->cookie, NULL); /* keep the first error */
	}
	sdm_link_forget(&v->dm);
	return r;
}

int sm_vdev_unmap(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	int r = b->cookie.made ? 0 : sdm_cookie_make(&b->cookie, err);

	if (r == 0)
		r = sdm_remove(&v->dm, &b->cookie, err);
	if (r == 0)
		sdm_link_forget(&v->dm);
	return r;
}

int sm_vdev_rename(struct sm_backend *b, const struct sm_vdev *from, const struct sm_vdev *to,
		   struct snapmgr_err *err)
{
	int r;

	if (strcmp(from->dm.name, to->dm.name) ==
	    0) /* both names too long: it is called after its UUID */
		return sdm_link_move(&from->dm, &to->dm, err);
	r = b->cookie.made ? 0 : sdm_cookie_make(&b->cookie, err);
	if (r == 0)
		r = sdm_link_announce(&to->dm, err);
	if (r == 0)
		r = sdm_rename(&from->dm, to->dm.name, &b->cookie, err);
	if (r < 0)
		return r;
	(void)sdm_link_settle(&from->dm, true, NULL);
	return sdm_link_settle(&to->dm, false, err);
}
