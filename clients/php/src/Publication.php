<?php

declare(strict_types=1);

namespace Tagcast\Client;

use InvalidArgumentException;

/** A message with its recipients. */
final class Publication
{
    /**
     * @param mixed $data anything that `json_encode` takes, except null; or a {@see Text}
     * @param string|null $event a name for protocols that name events
     * @param list<string> $except UUIDs of clients that do not get it, at most 100
     * @param string|null $id makes a repeat harmless: the server delivers one id once. Made by the client if it is null
     * @param int|null $maxRecipients with more recipients nothing is delivered
     * @param bool $dryRun counts the recipients and delivers nothing
     * @param int|null $timeoutMs for `Ack::Written`: how long the server waits for the sockets, 100 to 30,000
     */
    public function __construct(
        public readonly To $to,
        public readonly mixed $data,
        public readonly ?string $event = null,
        public readonly array $except = [],
        public readonly ?string $id = null,
        public readonly Ack $ack = Ack::Accepted,
        public readonly ?int $maxRecipients = null,
        public readonly bool $dryRun = false,
        public readonly ?int $timeoutMs = null,
    ) {
        if ($data === null) {
            throw new InvalidArgumentException('A publication needs data; null is not a message.');
        }
    }

    /** The same publication with this id, if it has none. */
    public function withId(string $id): self
    {
        if ($this->id !== null) {
            return $this;
        }
        return $this->with(['id' => $id]);
    }

    /** The same publication to other recipients. */
    public function withTo(To $to): self
    {
        return $this->with(['to' => $to]);
    }

    /**
     * The JSON body of the API.
     *
     * @return array<string, mixed>
     */
    public function toJson(): array
    {
        return ['to' => $this->to->toJson()] + $this->content() + array_filter([
            'except' => $this->except === [] ? null : array_values($this->except),
            'max_recipients' => $this->maxRecipients,
            'dry_run' => $this->dryRun ?: null,
        ], static fn (mixed $value): bool => $value !== null);
    }

    /**
     * The part of the body that feedback has too.
     *
     * @return array<string, mixed>
     */
    public function content(): array
    {
        $message = $this->data instanceof Text ? ['text' => $this->data->text] : ['message' => $this->data];
        return $message + array_filter([
            'event' => $this->event,
            'id' => $this->id,
            'ack' => $this->ack === Ack::Accepted ? null : $this->ack->value,
            'timeout_ms' => $this->timeoutMs,
        ], static fn (mixed $value): bool => $value !== null);
    }

    /** @param array<string, mixed> $changed */
    private function with(array $changed): self
    {
        return new self(...array_merge(get_object_vars($this), $changed));
    }
}
