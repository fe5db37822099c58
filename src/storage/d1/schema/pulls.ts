import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0011_pulls.sql`, which is the truth; a test compares the two.

export const pullReport = sqliteTable('pull_report', {
  id: integer('id').primaryKey(),
  pulls: text('pulls').notNull(),
});
