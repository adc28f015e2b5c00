/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schema.c - the tables, and the proof that those on disk are these
 *
 * What is here is the disk format: any change is a new SCAT_SCHEMA. SQLite keeps each statement's
 * text in its schema table, so that equal text is an equal schema; nothing is run or trusted before
 * that is known. Short names and few indices, because every command parses this.
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

struct object {
	const char *type, *name, *sql; /* sql NULL: SQLite makes it for a UNIQUE or a key */
};

#define INDEX(name, rest)                                       \
	{                                                       \
		"index", name, "CREATE INDEX " name " ON " rest \
	}
#define UNIQUE_INDEX(name, rest)                                       \
	{                                                              \
		"index", name, "CREATE UNIQUE INDEX " name " ON " rest \
	}
#define IMPLIED(table, n)                                      \
	{                                                      \
		"index", "sqlite_autoindex_" table "_" n, NULL \
	}
#define STRICT_TABLE(name, rest)                                       \
	{                                                              \
		"table", name, "CREATE TABLE " name "(" rest ")STRICT" \
	}
#define STRICT_KEYED(name, rest)                                                     \
	{                                                                            \
		"table", name, "CREATE TABLE " name "(" rest ")STRICT,WITHOUT ROWID" \
	}

#define IDENTITY "uuid BLOB NOT NULL UNIQUE"
#define TEXTS	 "project TEXT NOT NULL,label TEXT NOT NULL,description TEXT NOT NULL"
#define BODY	 "state TEXT NOT NULL,size INTEGER NOT NULL,thin INTEGER UNIQUE"
#define PARENT	 "parent INTEGER REFERENCES snapshots"

static const struct object objects[] = {
	STRICT_TABLE("pool", "id INTEGER PRIMARY KEY CHECK(id=1),uuid BLOB NOT NULL,"
			     "name TEXT NOT NULL,driver TEXT NOT NULL,created_at INTEGER NOT NULL,"
			     "chunk_sectors INTEGER NOT NULL,block_bytes INTEGER NOT NULL,"
			     "next_thin INTEGER NOT NULL,reserved_thin INTEGER NOT NULL,"
			     "transaction_id INTEGER NOT NULL,next_transaction_id INTEGER NOT NULL,"
			     "checkpoints INTEGER NOT NULL,quotas INTEGER NOT NULL,"
			     "operations INTEGER NOT NULL"),
	STRICT_KEYED("properties", "key TEXT PRIMARY KEY,value TEXT NOT NULL"),
	/* the name space that volumes and groups share */
	STRICT_TABLE("names", "id INTEGER PRIMARY KEY,name TEXT NOT NULL UNIQUE"),
	IMPLIED("names", "1"),
	STRICT_TABLE("volumes",
		     "id INTEGER PRIMARY KEY REFERENCES names ON DELETE CASCADE," IDENTITY "," TEXTS
		     ",created_at INTEGER NOT NULL," BODY "," PARENT ","
		     "sequence INTEGER NOT NULL,last_snapshot_at INTEGER NOT NULL,"
		     "undo_keep INTEGER NOT NULL,autostart INTEGER NOT NULL,"
		     "guest INTEGER NOT NULL,revert_support INTEGER NOT NULL,"
		     "before_thin INTEGER,before_parent INTEGER,"
		     "before_size INTEGER NOT NULL,before_swapped INTEGER NOT NULL,"
		     "before_with BLOB"),
	IMPLIED("volumes", "1"),
	IMPLIED("volumes", "2"),
	INDEX("volumes_parent", "volumes(parent)"),
	INDEX("volumes_project", "volumes(project,size)WHERE project<>''"),
	STRICT_TABLE("snapshots", "id INTEGER PRIMARY KEY," IDENTITY ","
				  "volume INTEGER REFERENCES volumes ON DELETE SET NULL,"
				  "name TEXT NOT NULL," TEXTS ",created_at INTEGER NOT NULL," BODY
				  "," PARENT ",sequence INTEGER NOT NULL,used INTEGER,"
				  "hold INTEGER NOT NULL,taken_with BLOB,UNIQUE(volume,name),"
				  "CHECK(parent<id)"),
	IMPLIED("snapshots", "1"),
	IMPLIED("snapshots", "2"),
	IMPLIED("snapshots", "3"),
	UNIQUE_INDEX("snapshots_sequence", "snapshots(volume,sequence)"),
	INDEX("snapshots_parent", "snapshots(parent)"),
	INDEX("snapshots_project", "snapshots(project,size)WHERE project<>''"),
	INDEX("snapshots_taken_with", "snapshots(taken_with)WHERE taken_with IS NOT NULL"),
	STRICT_TABLE("undos", "id INTEGER PRIMARY KEY," IDENTITY ","
			      "volume INTEGER NOT NULL REFERENCES volumes,"
			      "created_at INTEGER NOT NULL,size INTEGER NOT NULL,"
			      "thin INTEGER UNIQUE," PARENT ",displaced_with BLOB"),
	IMPLIED("undos", "1"),
	IMPLIED("undos", "2"),
	INDEX("undos_volume", "undos(volume)"),
	INDEX("undos_parent", "undos(parent)"),
	INDEX("undos_displaced_with", "undos(displaced_with)WHERE displaced_with IS NOT NULL"),
	STRICT_KEYED("tags", "object BLOB NOT NULL,key TEXT NOT NULL,value TEXT NOT NULL,"
			     "PRIMARY KEY(object,key)"),
	STRICT_TABLE("groups", "id INTEGER PRIMARY KEY REFERENCES names ON DELETE CASCADE," IDENTITY
			       "," TEXTS ",created_at INTEGER NOT NULL"),
	IMPLIED("groups", "1"),
	STRICT_TABLE("group_members",
		     "volume INTEGER PRIMARY KEY REFERENCES volumes ON DELETE CASCADE,"
		     "member_of INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE"),
	INDEX("group_members_of", "group_members(member_of)"),
	STRICT_TABLE("group_snapshots", "id INTEGER PRIMARY KEY," IDENTITY ","
					"member_of INTEGER NOT NULL REFERENCES groups ON DELETE "
					"CASCADE,name TEXT NOT NULL,created_at INTEGER NOT NULL,"
					"members INTEGER NOT NULL,UNIQUE(member_of,name)"),
	IMPLIED("group_snapshots", "1"),
	IMPLIED("group_snapshots", "2"),
	STRICT_TABLE("operations", "id INTEGER PRIMARY KEY,uuid BLOB NOT NULL,verb TEXT NOT NULL,"
				   "volume INTEGER REFERENCES volumes ON DELETE SET NULL,"
				   "snapshot INTEGER REFERENCES snapshots ON DELETE SET NULL,"
				   "new_size INTEGER,"
				   "boot_id BLOB NOT NULL,pid INTEGER NOT NULL,"
				   "start_ticks INTEGER NOT NULL,started_at INTEGER NOT NULL,"
				   "thin INTEGER,todo INTEGER NOT NULL,done INTEGER NOT NULL,"
				   "resumable INTEGER NOT NULL,detail TEXT NOT NULL"),
	/* what follows the id: the undo point that it was, for the one recovery that takes it back */
	STRICT_TABLE("garbage", "thin INTEGER PRIMARY KEY,pushed_by INTEGER,undo INTEGER,"
				"volume INTEGER,uuid BLOB,created_at INTEGER,size INTEGER,"
				"parent INTEGER,displaced_with BLOB"),
	/* of drivers that have no metadata of their own; in sectors of the pool's data */
	STRICT_TABLE("extents", "start INTEGER PRIMARY KEY,len INTEGER NOT NULL CHECK(len>0),"
				"owner INTEGER NOT NULL,position INTEGER NOT NULL"),
	INDEX("extents_owner", "extents(owner,position)"),
	STRICT_TABLE("merges", "volume INTEGER PRIMARY KEY REFERENCES volumes,"
			       "store INTEGER NOT NULL"),
	/* no index: a message costs the last page of its table */
	STRICT_TABLE("messages", "id INTEGER PRIMARY KEY,created_at INTEGER NOT NULL,"
				 "level TEXT NOT NULL,project TEXT NOT NULL,verb TEXT NOT NULL,"
				 "code TEXT NOT NULL,kind TEXT NOT NULL,object BLOB,"
				 "operation BLOB,text TEXT NOT NULL"),
	STRICT_KEYED("quotas", "project TEXT PRIMARY KEY,volumes INTEGER,snapshots INTEGER,"
			       "volume_bytes INTEGER,snapshot_bytes INTEGER"),
};

/* What is under way, and what was told, are of their time. */
static bool is_lasting(const struct object *o)
{
	return strcmp(o->type, "table") == 0 && strcmp(o->name, "operations") != 0 &&
	       strcmp(o->name, "messages") != 0;
}

const char *scat_schema_lasting(size_t i)
{
	for (size_t k = 0; k < SM_ARRAY(objects); k++) {
		if (is_lasting(&objects[k]) && i-- == 0)
			return objects[k].name;
	}
	return NULL;
}

int scat_schema_create(struct scat *cat, struct snapmgr_err *err)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < SM_ARRAY(objects) && code == SQLITE_OK; i++)
		if (objects[i].sql)
			code = SM_STEP("schema.make",
				       sqlite3_exec(cat->db, objects[i].sql, NULL, NULL, NULL));
	return code == SQLITE_OK ? 0 : scat_sql_failed(cat, code, err);
}

static bool column_is(sqlite3_stmt *stmt, int column, const char *text)
{
	const char *found = (const char *)sqlite3_column_text(stmt, column);

	if (!text || !found)
		return !text && !found;
	return strcmp(text, found) == 0;
}

int scat_schema_check(struct scat *cat, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT type,name,sql FROM sqlite_schema ORDER BY rowid";
	sqlite3_stmt *stmt;
	size_t n = 0;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0 && n < SM_ARRAY(objects) &&
	       column_is(stmt, 0, objects[n].type) && column_is(stmt, 1, objects[n].name) &&
	       column_is(stmt, 2, objects[n].sql))
		n++;
	scat_finish(cat, stmt);
	if (r < 0)
		return r;
	if (r > 0 || n < SM_ARRAY(objects))
		return scat_damaged(cat, err, "its tables are not those of schema %d", SCAT_SCHEMA);
	cat->verified = true;
	return 0;
}
