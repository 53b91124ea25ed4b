package cxbench;

/** A row of either table: a cohort with its sketch, or a contact with its frictions. */
record Row(Cohort cohort, Sketch sketch, Event contact, Frictions.Summary frictions) {}
