<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

/** The credentials are wrong, or do not permit this. Repeating the request does not help. */
final class AuthException extends TagcastException
{
    /** The permission that is missing, with the code `permission_denied`. */
    public function permission(): ?string
    {
        return isset($this->details['permission']) ? (string) $this->details['permission'] : null;
    }
}
