-- The server learns which roles own what there is.
UPDATE csp.model SET owner = owner;
UPDATE csp.run SET owner = owner;
UPDATE csp.search SET owner = owner;
UPDATE csp.bulk_run SET owner = owner;
