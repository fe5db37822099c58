-- What everybody may find. A row more is written for a public repository, none for the others.
CREATE INDEX repository_public ON repository (visibility) WHERE visibility = 'public';
